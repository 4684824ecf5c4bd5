"""Stores: appended whole or not at all, by many at once, each score counted once."""

import math
import multiprocessing
import os
import resource
import signal
import time
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import (
    BusyError,
    ModelCard,
    NotMeasuredError,
    OptionError,
    ResultConflictError,
    RunMismatchError,
    Store,
    TableCorruptError,
    Training,
    load_benchmark,
    load_space,
)
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE_METRICS, SCORES
from flexnas_bench.storage import exclusive, parquet_bytes, write_parquet

TINY, MINI = ModelCard.named("bert-tiny"), ModelCard.named("bert-mini")


def training(card=TINY, value=57.0, **changes):
    return Training(**{"card": card, "protocol": "mine", "scores": {"rte": value}} | changes)


def parts(store):
    return sorted(store.folder.glob("*.parquet"))


def test_what_is_appended_is_there_and_counts_once(tmp_path):
    store = Store(tmp_path / "store")
    trainings = [training(), training(MINI, scores={"rte": 60.0, "sst2": 85.5}, seed=3, finetune_seconds=12.5)]
    assert store.append(trainings) == 3
    assert store.append(trainings) == 0
    assert store.append([*trainings, training(replicate=1)]) == 1
    assert len(parts(store)) == 2
    assert store.rows() == Store(store.folder).rows()
    assert [(row["task"], row["value"]) for row in store.rows()] == [
        ("rte", 57.0), ("rte", 60.0), ("sst2", 85.5), ("rte", 57.0)
    ]  # fmt: skip
    assert {name: store.rows()[1][name] for name in ("seed", "finetune_seconds", "metric")} == {
        "seed": 3, "finetune_seconds": 12.5, "metric": "accuracy"
    }  # fmt: skip


def test_two_values_for_one_training_are_refused_and_nothing_is_written(tmp_path):
    store = Store(tmp_path)
    store.append([training()])
    with pytest.raises(ResultConflictError, match=r"replicate 0 of protocol mine.* value is 57.0, not 58.0"):
        store.append([training(MINI), training(value=58.0)])
    with pytest.raises(ResultConflictError):
        store.append([training(MINI), training(MINI, value=1.0)])
    with pytest.raises(ResultConflictError, match=r"pretrain_seconds is None, not 7\.0"):
        store.append([training(pretrain_seconds=7.0)])
    assert len(store.rows()) == 1
    for different in ({"replicate": 1}, {"init": MINI.hash}, {"origin": "published"}, {"protocol": "other"}):
        assert store.append([training(value=58.0, **different)]) == 1


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float32, np.float64])
def test_numbers_of_any_type_are_the_same_numbers(tmp_path, kind):
    store = Store(tmp_path)
    told = training(scores={"rte": kind(57)}, pretrain_seconds=kind(10), replicate=np.int64(0), seed=np.int32(3))
    assert store.append(told) == 1
    assert store.append([told]) == 0
    assert Store(tmp_path).append([training(scores={"rte": 57}, pretrain_seconds=10, seed=3)]) == 0


def test_the_means_follow_from_their_tasks(tmp_path):
    scores = {task: float(i) for i, task in enumerate(GLUE_METRICS)}
    store = Store(tmp_path)
    store.append(training(scores=scores))
    store.append(training(MINI, scores=scores | {"wnli": 44.0}))
    store.append(training(replicate=1, scores={"rte": 1.0}))
    bench = load_benchmark(store=tmp_path)
    assert bench.query(TINY, "glue8", "mine").value == pytest.approx(3.5)
    assert bench.query(TINY, "glue8", "mine").metric == "mean"
    assert bench.query(MINI, "glue9", "mine").value == pytest.approx(8.0)
    with pytest.raises(NotMeasuredError):
        bench.query(TINY, "glue9", "mine")
    with pytest.raises(OptionError, match=r"glue8 is 5\.0, the mean of its tasks 3\.50"):
        training(scores=scores | {"glue8": 5.0})
    assert training(scores=scores | {"glue8": 3.5}).scores["glue8"] == 3.5


def test_what_is_no_training_is_refused(tmp_path):
    for bad in ([3], ["bert-tiny"], [training(), None]):
        with pytest.raises(OptionError, match="is no Training"):
            Store(tmp_path).append(bad)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_looks_again_while_parts_are_merged(tmp_path, monkeypatch):
    store = Store(tmp_path)
    for replicate in range(4):
        store.append([training(replicate=replicate)])
    old = store.part_names()
    Store(tmp_path).compact()
    merged = store.part_names()
    listings = iter([old[:2], merged, merged])  # as a listing may be that is made while files come and go
    reader = Store(tmp_path)
    monkeypatch.setattr(reader, "part_names", lambda: next(listings))
    assert len(reader.rows()) == 4


def test_a_store_that_cannot_be_written_can_be_read(tmp_path, monkeypatch):
    Store(tmp_path).append([training()])

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("flexnas_bench.store.exclusive", refuse)
    monkeypatch.setattr("flexnas_bench.store.write_bytes", refuse)
    assert load_benchmark(store=tmp_path).query(TINY, "rte", "mine").value == 57.0
    with pytest.raises(PermissionError):
        Store(tmp_path).append([training(MINI)])


def test_a_diverged_training_is_a_result(tmp_path):
    store = Store(tmp_path)
    for _ in range(2):
        store.append([training(value=math.nan)])
    assert math.isnan(load_benchmark(store=tmp_path).query(TINY, "rte", "mine").value)
    with pytest.raises(ResultConflictError):
        store.append([training(value=50.0)])
    with pytest.raises(NotMeasuredError):
        load_benchmark(store=tmp_path).best("rte", "mine")


def test_compacting_changes_nothing_but_the_parts(tmp_path):
    store = Store(tmp_path)
    for replicate in range(5):
        store.append([training(replicate=replicate)])
    rows, (first, *_) = store.rows(), parts(store)
    (tmp_path / f".{first.name}.left-by-a-killed-writer").write_bytes(b"half writ")
    assert Store(tmp_path).compact() == 5
    assert len(parts(store)) == 1
    assert store.rows() == Store(tmp_path).rows() == rows
    assert not list(tmp_path.glob(".*left-by*"))
    assert store.compact() == 1
    assert store.append([training(replicate=5)]) == 1
    assert len(store.rows()) == 6


def test_a_part_that_two_wrote_before_the_other_was_merged_away_counts_once(tmp_path):
    store = Store(tmp_path)
    for replicate in range(3):
        store.append([training(replicate=replicate)])
    kept = [(path, path.read_bytes()) for path in parts(store)]
    store.compact()
    for path, content in kept:  # as if the process had been killed before it could take them away
        path.write_bytes(content)
    assert len(Store(tmp_path).rows()) == 3


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["rte", "sst2"])), max_size=12))
def test_any_appends_leave_each_score_once(tmp_path_factory, appends):
    store, cards = Store(tmp_path_factory.mktemp("store") / "s"), load_space("g3").sample(4, seed=0)
    told = {}
    for card, replicate, task in appends:
        value = float(10 * card + replicate)
        store.append([training(cards[card], replicate=replicate, scores={task: value})])
        told[cards[card].hash, replicate, task] = value
    if appends:
        assert {(row["hash"], row["replicate"], row["task"]): row["value"] for row in store.rows()} == told
        assert len(store.rows()) == len(told)


def test_the_store_lies_over_the_shipped_tables(tmp_path, bench):
    best = bench.card(bench.best().card_hash)
    own = training(best, protocol=DEFAULT_PROTOCOL, scores={"glue8": 80.0}, pretrain_seconds=99.0, finetune_seconds=6.0)
    Store(tmp_path).append([own, training()])
    over = load_benchmark(store=tmp_path)
    result = over.query(best)
    assert (result.value, result.origin, result.cost_seconds, result.source) == (80.0, "measured", 105.0, "own")
    assert over.best().value == 80.0
    assert over.query(best, "rte") == bench.query(best, "rte")
    assert bench.query(best).origin == "published"
    corrected = training(best, value=1.0, protocol=DEFAULT_PROTOCOL, origin="published", source="nas-bench-bert-2023")
    Store(tmp_path).append([corrected])
    assert load_benchmark(store=tmp_path).query(best, "rte").value == 1.0
    assert len(load_benchmark(store=tmp_path).to_frame()) == len(bench.to_frame()) + 2


def test_a_card_of_the_store_is_found_by_its_hash(tmp_path):
    card = load_space("g3").sample(1, seed=9)[0]
    Store(tmp_path).append([training(card)])
    bench = load_benchmark(store=tmp_path)
    assert bench.card(card.hash) == card
    assert "not described" in bench.protocols["mine"]["summary"]
    named = f"own is not described; an entry [own] in {tmp_path / 'sources.toml'} would describe it."
    assert bench.sources["own"]["citation"] == named


def test_names_are_described_beside_the_parts(tmp_path):
    store = Store(tmp_path)
    store.append([training(), training(protocol="curve-step-1k")])
    (tmp_path / "protocols.toml").write_text(
        '[mine]\nsummary = "by hand"\n[curve]\nsummary = "a curve"\ncheckpoints = [1000, 2000]\n'
    )
    (tmp_path / "sources.toml").write_text('[own]\ncitation = "Me, 2026"\nlicence = "CC0"\n')
    bench = load_benchmark(store=tmp_path)
    assert bench.protocols["mine"]["summary"] == "by hand"
    assert bench.sources["own"]["citation"] == "Me, 2026"
    assert bench.trajectory(TINY, "rte")["pretrain_steps"].tolist() == [1000]
    (tmp_path / "protocols.toml").write_text(f'[{DEFAULT_PROTOCOL}]\nsummary = "mine alone"\n')
    with pytest.raises(OptionError, match="describes electra-owt-100k otherwise"):
        load_benchmark(store=tmp_path)
    bad = ["[mine", "mine = 3", f"mine = {'1' * 5000}", f"mine = {'[' * 5000}", '[mine]\ncurve = "c"']
    bad += [f"[mine]\ncheckpoints = {steps}" for steps in ("3", '["a"]', "[1000, 1500]", "[1000, 1000]", "[-1000]")]
    for text in bad:
        (tmp_path / "protocols.toml").write_text(text)
        with pytest.raises(TableCorruptError, match=r"protocols\.toml"):
            load_benchmark(store=tmp_path)
    (tmp_path / "protocols.toml").unlink()
    (tmp_path / "sources.toml").write_text("[own]\ncheckpoints = 3\n")
    assert load_benchmark(store=tmp_path).sources["own"]["checkpoints"] == 3


def test_there_is_no_store(tmp_path):
    with pytest.raises(RunMismatchError, match="there is no store"):
        load_benchmark(store=tmp_path / "nowhere")
    (tmp_path / "thesis.tex").write_text("precious")
    for act in (Store(tmp_path).rows, Store(tmp_path).compact):
        with pytest.raises(RunMismatchError, match="there is no store"):
            act()
    with pytest.raises(RunMismatchError, match="something else"):
        Store(tmp_path).append([training()])
    with pytest.raises(RunMismatchError, match="something else"):
        Store(tmp_path / "thesis.tex").append([training()])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", [b"format = 1", b"format = 3", b"format", b"\xff"])
def test_a_store_of_another_version(tmp_path, content):
    Store(tmp_path).append([training()])
    (tmp_path / "store.toml").write_bytes(content)
    with pytest.raises(TableCorruptError, match=r"store\.toml"):
        Store(tmp_path).rows()


def damaged(how, path):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "altered":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif how == "empty":
        path.write_bytes(b"")
    else:  # a good Parquet file of something else, under a name that fits it
        foreign = parquet_bytes(pa.table({"a": [1]}))
        path.write_bytes(foreign)
        digest = sha256(foreign).hexdigest()[:16]
        path.rename(path.with_name(f"{path.name.partition('-')[0]}-{digest}.parquet"))


@pytest.mark.parametrize("how", ["truncated", "altered", "empty", "foreign"])
def test_a_damaged_part_is_named_and_never_read(tmp_path, how):
    store = Store(tmp_path)
    store.append([training()])
    (path,) = parts(store)
    damaged(how, path)
    for act in (Store(tmp_path).rows, Store(tmp_path).compact, lambda: Store(tmp_path).append([training(MINI)])):
        with pytest.raises(TableCorruptError, match=r"0\d+-[0-9a-f]{16}\.parquet"):
            act()
    assert len(parts(store)) == 1


def test_files_that_are_no_parts_are_left_alone(tmp_path):
    store = Store(tmp_path)
    store.append([training()])
    write_parquet(tmp_path / "backup.parquet", pa.table({"a": [1]}))
    assert len(store.rows()) == 1
    store.compact()
    assert (tmp_path / "backup.parquet").exists()


def test_who_waits_too_long_is_told(tmp_path):
    store = Store(tmp_path, patience=0.1)
    store.append([training()])
    with exclusive(tmp_path / ".store.lock", 1), pytest.raises(BusyError, match="another process"):
        store.append([training(MINI)])
    assert len(store.rows()) == 1
    store.append([training(MINI)])


def appender(folder, number, barrier):
    barrier.wait()
    for i in range(12):
        Store(folder).append([training(replicate=i), training(replicate=1000 * number + i, seed=number)])


def test_many_processes_append_read_and_compact_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    workers = [context.Process(target=appender, args=(tmp_path, number, barrier)) for number in (1, 2, 3)]
    for worker in workers:
        worker.start()
    barrier.wait()
    seen = [0]
    while any(worker.is_alive() for worker in workers):
        if (tmp_path / "store.toml").exists():
            seen.append(len(Store(tmp_path).rows()))
            if len(seen) % 5 == 0:
                Store(tmp_path).compact()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert seen == sorted(seen)  # nothing that was there is ever gone
    assert len(Store(tmp_path).rows()) == 12 + 3 * 12
    Store(tmp_path).compact()
    assert len(Store(tmp_path).rows()) == 48


def append_for_ever(folder):
    for i in range(10_000):
        Store(folder).append([training(replicate=i)])


def kill_at_random_moments(folder, times, rng):
    """Kills a writer again and again; what a reader sees in between must be whole, and never less than before."""
    context, before = multiprocessing.get_context("spawn"), 0
    for _ in range(times):
        writer = context.Process(target=append_for_ever, args=(folder,))
        writer.start()
        while writer.is_alive() and len(list(folder.glob("0*.parquet"))) <= before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        rows = Store(folder).rows()
        assert [row["replicate"] for row in rows] == list(range(len(rows)))
        assert len(rows) >= before
        before = len(rows)
    return before


def test_a_killed_writer_leaves_a_whole_store(tmp_path):
    rng = np.random.default_rng(0)
    count = kill_at_random_moments(tmp_path, 3, rng)
    store = Store(tmp_path)
    assert store.append([training(replicate=count)]) == 1
    store.compact()
    assert len(store.rows()) == count + 1
    assert not list(tmp_path.glob(".0*"))


def append_on_a_full_disk(folder):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then the write fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
    try:
        Store(folder).append([training(card) for card in load_space("g2").sample(300, seed=1)])
    except OSError:
        os._exit(17)


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path):
    store = Store(tmp_path)
    store.append([training()])
    before = {path.name for path in tmp_path.iterdir()}
    process = multiprocessing.get_context("spawn").Process(target=append_on_a_full_disk, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 17
    assert {path.name for path in tmp_path.iterdir()} == before
    assert len(store.rows()) == 1


def test_rows_have_the_columns_of_the_schema(tmp_path):
    Store(tmp_path).append([training()])
    assert list(Store(tmp_path).rows()[0]) == SCORES.names


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"card": TINY.hash}, "card: "),
        ({"protocol": ""}, "protocol: ''"),
        ({"source": 3}, "source: 3"),
        ({"init": "warm"}, "init: 'warm'"),
        ({"origin": "predicted"}, "origin: 'predicted'"),
        ({"replicate": -1}, "replicate: -1"),
        ({"replicate": None}, "replicate: None"),
        ({"seed": 1.5}, "seed: 1.5"),
        ({"pretrain_steps": True}, "pretrain_steps: True"),
        ({"pretrain_seconds": math.inf}, "pretrain_seconds: inf"),
        ({"finetune_seconds": -1.0}, "finetune_seconds: -1"),
        ({"scores": {}}, "no dictionary of scores"),
        ({"scores": {"rte": "60"}}, "'rte' = '60'"),
        ({"scores": {"rte": math.inf}}, "'rte' = inf"),
        ({"scores": {"": 60.0}}, "'' = 60.0"),
        ({"scores": {"\udcff": 60.0}}, "60.0 is no score"),
        ({"scores": {"rte": 10**400}}, "'rte' = 1000"),
        ({"scores": [60.0]}, "no dictionary of scores"),
        ({"scores": {"rte": 1000.0}}, "rte = 1000.0 is not in points"),
        ({"scores": {"STS-B": 55.0}}, "STS-B is called stsb here"),
        ({"metrics": None}, "metrics: None"),
        ({"metrics": {"rte": 3}}, "metrics: 3"),
        ({"run_id": 3}, "run_id: 3"),
        ({"source": "a, b"}, "has a comma"),
        ({"protocol": "\udcff"}, "protocol: "),
        ({"pretrain_seconds": 10**400}, "pretrain_seconds: 1000"),
        ({"seed": 2**63}, "seed: 9223"),
    ],
)
def test_a_training_that_makes_no_sense(changes, says):
    with pytest.raises(OptionError, match=says):
        training(**changes)


FACTS = {"summary": 'all of "it"', "rows": 3, "rates": [2e-5, 0.5], "finetuning": {"tasks": {"rte": {"rows": 0}}}}


def test_a_protocol_is_described_once(tmp_path):
    store = Store(tmp_path)
    store.describe("mine", FACTS, "f" * 64)
    store.describe("mine", FACTS, "f" * 64)
    store.describe("other", {"summary": "another"}, "a" * 64)
    store.describe("electra-owt-100k", {"summary": "not looked at"}, "b" * 64)  # is described in the shipped tables
    assert store.described("protocols.toml") == {"mine": FACTS, "other": {"summary": "another"}}
    with pytest.raises(ResultConflictError, match="describes mine otherwise"):
        store.describe("mine", FACTS | {"rows": 4}, "f" * 64)
    store.append(training(protocol="mine", protocol_hash="f" * 64))
    with pytest.raises(ResultConflictError, match="scores of protocol mine under other settings"):
        store.describe("mine", FACTS, "a" * 64)
    assert load_benchmark(store=tmp_path).protocols["mine"]["rows"] == 3
