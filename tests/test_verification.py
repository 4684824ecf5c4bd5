"""`verify` finds what is wrong, wherever it is."""

import math
import shutil
from functools import cache

import pyarrow as pa
import pytest

from flexnas_bench import ModelCard, RunMismatchError, Store, Training, storage, verification
from flexnas_bench.distance.matched import SHIPPED
from flexnas_bench.embedding.loading import LEARNED, learned_path
from flexnas_bench.results import FITTED_FILE, PREDICTED_G1
from flexnas_bench.searching.runs import make_rows
from flexnas_bench.surrogate.fitted import fitted_text, read_fitted
from flexnas_bench.verification import SCHEMAS, verify_store, verify_tables

TINY = ModelCard.named("bert-tiny")
SIZE = 200  # of G1 in the copy
read_once = cache(verification._card_of)
pytestmark = pytest.mark.usefixtures("hardly_compressed")


@pytest.fixture(scope="module")
def smaller(tmp_path_factory, hardly_compressed):
    """A copy of the shipped data that is quicker to check: with searches of one method, and as if G1 were small."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(storage.data_folder(), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder / "runs").iterdir():
        if not path.name.startswith("pool"):
            path.unlink()
    rows = storage.read_parquet(folder / "runs/pool.parquet").to_pylist()
    rows = [row for row in rows if row["optimizer"] == "random"]
    found = {row["card_hash"] for row in rows}
    cards = storage.read_parquet(folder / "runs/pool_cards.parquet").to_pylist()
    write(folder, "runs/pool.parquet", rows)
    write(folder, "runs/pool_cards.parquet", [card for card in cards if card["card_hash"] in found])
    predicted = storage.read_parquet(folder / PREDICTED_G1).to_pylist()
    write(folder, PREDICTED_G1, [row for row in predicted if row["task"] == "glue8"][:SIZE])
    for name in map(learned_path, LEARNED):
        write(folder, name, storage.read_parquet(folder / name)[:SIZE].to_pylist())
    write(folder, SHIPPED, storage.read_parquet(folder / SHIPPED)[:SIZE].to_pylist())
    runs = storage.read_parquet(folder / "runs_trained.parquet").to_pylist()
    trained = {run[name] for run in runs for name in ("hash", "init")}
    g1, others = [], []
    for card in storage.read_parquet(folder / "architectures.parquet").to_pylist():
        if card["g1_index"] is not None and card["g1_index"] < SIZE:
            g1.append(card)
        elif card["hash"] in trained:
            others.append(card | {"g1_index": None})
    write(folder, "architectures.parquet", g1 + others)
    models = read_fitted(storage.read_toml(folder / FITTED_FILE), FITTED_FILE)
    kept = {digest: model for digest, model in models.items() if model.task == "glue8"}
    (folder / FITTED_FILE).write_text(fitted_text(kept))
    left = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    listed = storage.read_checksums(folder).keys() & set(left)
    (folder / storage.CHECKSUMS).unlink()
    storage.write_checksums(folder, listed)
    return folder


@pytest.fixture
def folder(smaller, tmp_path, monkeypatch):
    """Such a copy that may be spoiled; only its first architectures are looked at, and the same text is read once."""
    check_cards = verification._cards
    monkeypatch.setattr(verification, "_cards", lambda rows: check_cards(rows[:20]))
    monkeypatch.setattr(verification, "_card_of", read_once)
    return shutil.copytree(smaller, tmp_path, dirs_exist_ok=True)


def problems(checks):
    return {check.what: check.problems for check in checks if check.problems}


def write(folder, name, rows):
    schema = storage.read_parquet(folder / name).schema
    storage.write_parquet(folder / name, pa.Table.from_pylist(rows, schema=schema))


def edit(folder, name, change):
    """Changes the rows of a table and its checksum, so that only what the rows say is wrong."""
    rows = storage.read_parquet(folder / name).to_pylist()
    change(rows)
    write(folder, name, rows)
    storage.write_checksums(folder, [name])


@pytest.mark.slow
def test_all_that_is_shipped_is_sound():
    assert problems(verify_tables(storage.data_folder())) == {}


def test_what_is_shipped_is_sound(some_cards):
    checks = list(verify_tables(storage.data_folder()))
    assert problems(checks) == {}
    assert {check.what: check.count for check in checks}["cards"] == 9_796
    assert all(check.count for check in checks)


@pytest.mark.parametrize("name", [*SCHEMAS, "sources.toml", "runs/pool.parquet"])
def test_one_altered_byte_is_found(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    check = next(iter(verify_tables(folder)))
    assert check.what == "checksums"
    assert [name] == [problem.partition(" ")[0] for problem in check.problems]


def test_missing_added_and_foreign_files(folder):
    (folder / "pool.parquet").unlink()
    storage.write_parquet(folder / "extra.parquet", pa.table({"a": [1]}))
    storage.write_parquet(folder / "published" / "fig3.parquet", pa.table({"a": [1]}))
    (folder / "published" / "fig4.parquet").write_bytes(b"PAR1")
    found = problems(verify_tables(folder))
    assert found.keys() == {"checksums", "schemas"}
    assert set(found["checksums"]) >= {"extra.parquet is not in CHECKSUMS", "pool.parquet is missing"}
    text = "\n".join(found["schemas"])
    for says in ("extra.parquet is a table that nobody knows", "fig3.parquet has another schema", "cannot read table"):
        assert says in text
    (folder / storage.CHECKSUMS).unlink()
    assert "CHECKSUMS" in problems(verify_tables(folder))["checksums"][0]


SPOILED = [
    ("architectures.parquet", lambda rows: rows[3].update(hash="0" * 64), "cards", "hash is 0000"),
    ("architectures.parquet", lambda rows: rows[3].update(g1_index=4), "cards", "g1_index is 4"),
    ("architectures.parquet", lambda rows: rows[3].update(parameters=4), "cards", "parameters is 4"),
    ("architectures.parquet", lambda rows: rows[3].update(card="{"), "cards", "not JSON"),
    ("architectures.parquet", lambda rows: rows.insert(1, rows[0]), "cards", "is there 2 times"),
    ("architectures.parquet", lambda rows: rows.pop(), "trainings", "leads nowhere"),
    ("runs_trained.parquet", lambda rows: rows[0].update(protocol="p"), "trainings", "protocol p leads nowhere"),
    ("runs_trained.parquet", lambda rows: rows[0].update(source="s"), "trainings", "source s leads nowhere"),
    ("runs_trained.parquet", lambda rows: rows[0].update(init="i"), "trainings", "init i leads nowhere"),
    ("runs_trained.parquet", lambda rows: rows[0].update(origin="o"), "trainings", "origin o leads nowhere"),
    ("runs_trained.parquet", lambda rows: rows.append(rows[0]), "trainings", "is there 2 times"),
    ("runs_trained.parquet", lambda rows: rows.pop(), "scores", "no such training"),
    ("results.parquet", lambda rows: rows[0].update(replicate=7), "scores", "no such training"),
    ("results.parquet", lambda rows: rows[0].update(value=7.0), "scores", "not the mean of its tasks"),
    ("results.parquet", lambda rows: rows.append(rows[0]), "scores", "two scores of"),
    ("results.parquet", lambda rows: rows.pop(0), "scores", "without its tasks"),
    ("results.parquet", lambda rows: rows.pop(), "scores", "has no score"),
    ("pool.parquet", lambda rows: rows.pop(), "pool", "1 trained cards are not in the pool"),
    ("pool.parquet", lambda rows: rows[0].update(card=TINY.to_json()), "pool", "not one of the trained"),
    ("published/table3.parquet", lambda rows: rows[0].update(source="s"), "published figures", "source s"),
    ("runs/pool.parquet", lambda rows: rows[5].update(card_hash="0" * 64), "searches", "no such score"),
    ("runs/pool.parquet", lambda rows: rows[5].update(best=99.0), "searches", "do not follow"),
    ("runs/pool.parquet", lambda rows: rows.pop(5), "searches", "do not follow"),
    ("runs/pool.parquet", lambda rows: rows[5].update(value=3.0), "searches", "no such score"),
    ("runs/pool_cards.parquet", lambda rows: rows.pop(), "cards of searches", "does not list the cards of runs/pool"),
    ("runs/pool_cards.parquet", lambda rows: rows[0].update(card=TINY.to_json()), "cards of searches", "another hash"),
    ("pool.parquet", lambda rows: rows[0].update(card="{"), "pool", "not one of the trained"),
    ("published/fig5.parquet", lambda rows: rows[0].update(model_card_if_unique="{"), "published figures", "not of g1"),
    ("published/fig5.parquet", lambda rows: rows.clear(), "schemas", "fig5.parquet is empty"),
]


@pytest.mark.parametrize(("name", "change", "what", "says"), SPOILED)
def test_what_does_not_fit_together_is_found(folder, name, change, what, says):
    edit(folder, name, change)
    found = {check.what: check.problems for check in verify_tables(folder)}
    assert found["checksums"] == ()
    assert any(says in problem for problem in found[what])


@pytest.mark.parametrize("text", ["a = 1", "[p]\ncheckpoints = 3", "[p", f"a = {'1' * 5000}"])
def test_descriptions_that_make_no_sense_are_found(folder, text):
    (folder / "protocols.toml").write_text(text)
    storage.write_checksums(folder, ["protocols.toml"])
    assert "protocols.toml" in problems(verify_tables(folder))["descriptions"][0]


def test_a_folder_in_the_place_of_a_table_is_found(folder):
    (folder / "pool.parquet").unlink()
    (folder / "pool.parquet").mkdir()
    found = problems(verify_tables(folder))
    assert found.keys() == {"checksums", "schemas"}


def test_a_failed_evaluation_is_no_problem(folder):
    def fail(rows):
        run = [row for row in rows if (row["optimizer"], row["seed"]) == ("random", 0)]
        run[0]["value"] = math.nan
        rows[:] = make_rows(run, "random", 0)
        evaluated.update(row["card_hash"] for row in run)

    def keep(rows):
        rows[:] = [row for row in rows if row["card_hash"] in evaluated]

    evaluated = set()
    edit(folder, "runs/pool.parquet", fail)
    edit(folder, "runs/pool_cards.parquet", keep)
    assert problems(verify_tables(folder)) == {}


def test_a_store_is_checked_too(tmp_path):
    store = Store(tmp_path / "store")
    store.append([Training(card=TINY, protocol="mine", scores={"rte": 57.0, "sst2": 80.0})])
    assert problems(verify_store(store)) == {}
    rows = store.rows()
    store._write([rows[0] | {"value": 58.0}, rows[1] | {"hash": "0" * 64}], 5)
    store._write([rows[0] | {"origin": "predicted"}], 6)
    (store.folder / "sources.toml").write_text("own")
    (part,) = list(store.folder.glob("*6-*.parquet"))[:1]
    found = problems(verify_store(store))
    for says in ("two values", "another hash", "origin: 'predicted'"):
        assert any(says in problem for problem in found["rows"])
    assert "sources.toml" in found["descriptions"][0]
    part.write_bytes(b"")
    assert part.name in problems(verify_store(store))["parts"][0]
    with pytest.raises(RunMismatchError):
        list(verify_store(Store(tmp_path)))


def test_vectors_of_other_cards_or_lengths(folder):
    def spoil(rows):
        rows[3]["hash"], rows[4]["hash"] = rows[4]["hash"], rows[3]["hash"]
        rows[7]["vector"] = rows[7]["vector"][:-1]
        rows[8]["vector"][0] = math.nan

    edit(folder, "embeddings/t2v-g1-d16.parquet", spoil)
    assert problems(verify_tables(folder))["vectors"] == (
        "t2v-g1-d16: not the cards of g1 in order",
        "t2v-g1-d16: vectors of several lengths",
        "t2v-g1-d16: a vector that is not finite",
    )


def test_predictions_that_are_none(folder):
    def spoil(rows):
        rows[0]["hash"], rows[1]["hash"] = rows[1]["hash"], rows[0]["hash"]
        rows[2]["mean"] = math.nan
        rows[3]["epistemic_std"] = -1.0
        rows.append(rows[0] | {"task": "rte"})

    edit(folder, PREDICTED_G1, spoil)
    found = problems(verify_tables(folder))["predictions"]
    assert [problem for problem in found if "is no prediction" in problem] == list(found[:2])
    assert found[2:] == (
        "the models are those of other tasks",
        "glue8: not the cards of g1 in order",
        "rte: not the cards of g1 in order",
    )
    (folder / FITTED_FILE).write_text("[x]\na = 1")
    storage.write_checksums(folder, [FITTED_FILE])
    assert "no hyperparameters" in problems(verify_tables(folder))["surrogates"][0]


def test_problems_answered_twice_or_not_at_all(folder):
    def spoil(rows):
        rows[1] = rows[0]
        rows[5]["matched"] = 0

    edit(folder, "ged/matched_edges.parquet", spoil)
    twice, nothing = problems(verify_tables(folder))["matched edges"]
    assert "is answered 2 times" in twice
    assert "no number of edges" in nothing
