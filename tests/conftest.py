"""What several tests need: strategies for cards, a planted space, published figures where they are at hand."""

import functools
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import settings
from hypothesis import strategies as st

from flexnas_bench import (
    DesignSpace,
    EncoderLayer,
    ModelCard,
    load_benchmark,
    load_space,
    shipped,
    storage,
    verification,
)
from flexnas_bench.benchmark import Benchmark
from flexnas_bench.results import METRICS
from tests.processes import Context

settings.register_profile("suite", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("suite")

PUBLISHED = Path(__file__).parents[2] / "shared" / "published"
DATA = Path(__file__).parents[2] / "shared" / "data"


def _layers() -> st.SearchStrategy[EncoderLayer]:
    operations = st.one_of(
        st.tuples(st.just("SA"), st.sampled_from(["SDP", "WMA"])),
        st.tuples(st.just("LT"), st.sampled_from(["DFT", "DCT"])),
        st.tuples(st.just("DSC"), st.integers(0, 20).map(lambda k: 2 * k + 1)),
    )
    heads = st.integers(1, 16)
    widths = st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple)
    return st.builds(
        lambda operation, heads, size, widths: EncoderLayer(*operation, heads * size, heads, widths),
        operations,
        heads,
        st.integers(1, 64),
        widths,
    )


#: Any valid card, also far outside the paper's spaces.
any_cards = st.lists(_layers(), min_size=1, max_size=6).map(lambda layers: ModelCard(tuple(layers)))


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests keep out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def sooner() -> Iterator[None]:
    """Processes of the package begin with torch imported; what follows from code and cards alone is computed once.

    That is its command line, and the facts of all cards of G1 that are in the tables of trainings.
    """
    contexts = {"spawn": Context()}
    with pytest.MonkeyPatch.context() as patched:
        real = multiprocessing.get_context
        patched.setattr(multiprocessing, "get_context", lambda how=None: contexts.get(how) or real(how))
        patched.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        patched.setattr(shipped, "_architecture", functools.cache(shipped._architecture))
        yield


@pytest.fixture(scope="session")
def bench() -> Benchmark:
    return load_benchmark()


@pytest.fixture(scope="session")
def pool() -> DesignSpace:
    return load_space("pool")


@pytest.fixture(scope="session")
def published() -> Path:
    if not PUBLISHED.is_dir():
        pytest.skip("the published figures are not beside this checkout")
    return PUBLISHED


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Byte-level BPE as RoBERTa's, learned from a few sentences."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(
        ["the film is good", "a bad film", "the very best of all films", "0 1 2 3 4 5 6 7 8 9"] * 3,
        vocab_size=300,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
    )
    learned.save_model(str(folder))
    RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip("GLUE and text are not beside this checkout")
    return DATA


@pytest.fixture
def some_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` computes hash and size of every twentieth card only, as that takes the longest."""
    check, check_found, read = verification._cards, verification._found, verification._card_of

    def check_some(searches, cards):
        trusted = {
            row["card"]: SimpleNamespace(hash=row["card_hash"])
            for rows in cards.values()
            for i, row in enumerate(rows)
            if i % 20
        }
        monkeypatch.setattr(verification, "_card_of", lambda text: trusted.get(text) or read(text))
        yield from check_found(searches, cards)

    monkeypatch.setattr(verification, "_cards", lambda rows: check(rows[::20]))
    monkeypatch.setattr(verification, "_found", check_some)


@pytest.fixture(scope="module")
def hardly_compressed() -> Iterator[None]:
    """Tables are a little larger than those that people get: that of all cards of G1 takes seconds otherwise."""
    write = storage.pq.write_table
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            storage.pq, "write_table", lambda *what, **how: write(*what, **(how | {"compression_level": 1}))
        )
        yield


#: A card that trains in a moment.
SMALL = {"l": 2, "o": ["SA", "DSC"], "h": [16, 16], "n": [2, 2], "f": [[24], [24]], "p": ["SDP", 5]}
PROTOCOL = """
[small]
base = "cpu-lite"
summary = "to try things"
[small.pretraining]
corpus = ["text"]
tokens = 0
steps = 6
batch_size = 4
length = 16
warmup_steps = 2
[small.finetuning]
rows = 24
epochs = 2
batch_size = 8
length = 48
"""


@pytest.fixture(scope="session")
def small_data(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data like the real one, with 40 examples a task and a page of text."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "roberta_tokenizer").symlink_to(data / "roberta_tokenizer")
    for path in sorted((data / "glue").glob("*/*.parquet")):
        target = folder / "glue" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(path).slice(0, 40), target)
    (folder / "corpus").mkdir()
    text = pq.read_table(data / "corpus" / "english_novels.parquet", columns=["text"])["text"][0].as_py()
    (folder / "corpus" / "text.txt").write_text(text[:20_000])
    return folder


@pytest.fixture
def small_protocol(tmp_path: Path) -> Path:
    """Of `PROTOCOL`; shipped sizes of data sets, which `small_data` does not have, are not asked for."""
    path = tmp_path / "small.toml"
    path.write_text(PROTOCOL + "".join(f"tasks.{task}.examples = []\n" for task in METRICS if "glue" not in task))
    return path
