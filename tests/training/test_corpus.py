import json
import multiprocessing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench.errors import DataError
from flexnas_bench.modeling.folder import load_tokenizer
from flexnas_bench.training import corpus as module
from flexnas_bench.training.corpus import Corpus, load_corpus

TEXTS = ["the film is good", "", "a bad film\nof the very worst", "naïve 電影 🎬"]


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    return load_tokenizer(tokenizer_folder)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": TEXTS * 50}), path)
    return path


def tokens_of(tokenizer, texts):
    return [t for text in texts if text for t in [*tokenizer(text, add_special_tokens=False)["input_ids"], 2]]


def test_tokens_are_those_of_the_documents(tokenizer, source, tmp_path):
    corpus = load_corpus([source], tokenizer, tmp_path / "cache")
    assert corpus.read(0, len(corpus)).tolist() == tokens_of(tokenizer, TEXTS * 50)
    first = corpus.read(0, 200).tolist()
    assert tokenizer.decode(first[: first.index(2)]) == TEXTS[0]


def test_the_tokenizer_at_hand_is_that_of_roberta(data):
    tokenizer = load_tokenizer(data / "roberta_tokenizer")
    assert len(tokenizer) == 50_265
    assert tokenizer("Hello world")["input_ids"] == [0, 31414, 232, 2]
    assert tokenizer("a", "b")["input_ids"] == [0, 102, 2, 2, 428, 2]


def test_a_text_file_has_documents_between_empty_lines(tokenizer, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("the film\nis good\n\n\na bad film\n\nbest", encoding="utf-8")
    corpus = load_corpus([path], tokenizer, tmp_path / "cache")
    expected = tokens_of(tokenizer, ["the film\nis good", "a bad film", "best"])
    assert corpus.read(0, len(corpus)).tolist() == expected


@given(cuts=st.lists(st.integers(0, 50), max_size=4), start=st.integers(0, 60), count=st.integers(0, 60))
def test_reading_goes_across_shards(cuts, start, count):
    whole = np.arange(50, dtype=np.uint16)
    corpus = Corpus(tuple(np.split(whole, sorted(cuts))))
    assert len(corpus) == 50
    assert corpus.read(start, count).tolist() == whole[start : start + count].tolist()


def test_many_tokens_are_many_shards(tokenizer, source, tmp_path, monkeypatch):
    whole = load_corpus([source], tokenizer, tmp_path / "whole")
    monkeypatch.setattr(module, "SHARD_TOKENS", 100)
    parted = load_corpus([source], tokenizer, tmp_path / "parted")
    assert {len(shard) for shard in parted.shards[:-1]} == {100}
    assert parted.read(0, len(parted)).tolist() == whole.read(0, len(whole)).tolist()


def test_what_is_there_is_not_made_again(tokenizer, source, tmp_path, monkeypatch):
    first = load_corpus([source], tokenizer, tmp_path / "cache")
    monkeypatch.setattr(module, "_make_shards", None)  # nobody may call it
    again = load_corpus([source], tokenizer, tmp_path / "cache")
    assert again.read(0, len(again)).tolist() == first.read(0, len(first)).tolist()
    assert all(isinstance(shard, np.memmap) for shard in again.shards)


def shards_in(cache):
    (listed,) = cache.glob("*/shards.json")
    return listed, [listed.parent / name for name in json.loads(listed.read_text())]


@pytest.mark.parametrize(
    "damage",
    [
        lambda listed, shard: shard.write_bytes(shard.read_bytes()[:-1]),
        lambda listed, shard: shard.write_bytes(shard.read_bytes()[:-1] + b"\xee"),
        lambda listed, shard: shard.unlink(),
        lambda listed, shard: listed.unlink(),
        lambda listed, shard: listed.write_text("{"),
        lambda listed, shard: listed.write_text("[]"),
    ],
)
def test_damaged_shards_are_made_again(tokenizer, source, tmp_path, damage):
    cache = tmp_path / "cache"
    expected = load_corpus([source], tokenizer, cache).read(0, 10**6).tolist()
    listed, (shard,) = shards_in(cache)
    damage(listed, shard)
    found = load_corpus([source], tokenizer, cache)
    assert found.read(0, 10**6).tolist() == expected
    assert module._read_shards(listed.parent)


def test_another_text_and_another_tokenizer_have_other_shards(tokenizer, source, tmp_path, data):
    cache = tmp_path / "cache"
    load_corpus([source], tokenizer, cache)
    load_corpus([source], load_tokenizer(data / "roberta_tokenizer"), cache)
    pq.write_table(pa.table({"text": TEXTS}), source)
    load_corpus([source], tokenizer, cache)
    assert len(list(cache.glob("*/shards.json"))) == 3


def _load(folder, source, cache, queue):
    corpus = load_corpus([source], load_tokenizer(folder), cache)
    queue.put(corpus.read(0, 10**6).tolist())


def test_two_processes_make_shards_once(tokenizer_folder, source, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=_load, args=(tokenizer_folder, source, tmp_path / "cache", queue)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    first, second = queue.get(timeout=500), queue.get(timeout=500)
    for process in processes:
        process.join()
    assert first == second == tokens_of(load_tokenizer(tokenizer_folder), TEXTS * 50)


def test_progress_is_told(tokenizer, source, tmp_path):
    told = []
    load_corpus([source], tokenizer, tmp_path / "cache", lambda *what: told.append(what))
    assert told[-1] == ("texts", 200, 200)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.parquet", None, "No such file"),
        ("cut.parquet", b"PAR1 and then nothing", "not a whole Parquet file"),
        ("empty.txt", b"\n\n", "no text"),
    ],
)
def test_bad_sources_are_refused_in_one_line(tokenizer, tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        load_corpus([tmp_path / name], tokenizer, tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_a_table_without_text_is_refused(tokenizer, tmp_path):
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no column text"):
        load_corpus([tmp_path / "a.parquet"], tokenizer, tmp_path / "cache")


def test_a_folder_without_tokenizer_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no tokenizer"):
        load_tokenizer(tmp_path)
