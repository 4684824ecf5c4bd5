"""A table of one's own, good and broken, becomes a store that everything works on."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexnas_bench import (
    DesignSpace,
    ModelCard,
    NotInSpaceError,
    OptionError,
    ResultConflictError,
    Store,
    TableCorruptError,
    import_table,
    load_benchmark,
    load_space,
)
from flexnas_bench.cli.app import run_app

TINY, MINI = ModelCard.named("bert-tiny"), ModelCard.named("bert-mini")


@pytest.fixture
def write(tmp_path):
    """Writes a table as CSV, or as Parquet, and returns its path."""

    def write(rows, suffix=".csv"):
        path = tmp_path / f"mine{suffix}"
        frame = pd.DataFrame(rows)
        if suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        return path

    return write


def row(card, **columns):
    return {"model_card": card.to_json(), **columns}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_column_arrives(write, tmp_path, suffix):
    facts = {"seed": 3, "pretrain_steps": 1000, "pretrain_seconds": 60.5, "finetune_seconds": 4.0, "hardware": "A100"}
    path = write([row(TINY, rte=57.5, sst2=80.0, **facts), row(MINI, rte=60.0, sst2=None, **facts)], suffix)
    found = import_table(path, "g1", tmp_path / "store", protocol="p", origin="published", source="me")
    assert (found.trainings, found.fresh, found.cards) == (2, 3, {"rte": 2, "sst2": 1})
    rows = Store(tmp_path / "store").rows()
    assert [(each["hash"], each["task"], each["value"]) for each in rows] == [
        (TINY.hash, "rte", 57.5),
        (TINY.hash, "sst2", 80.0),
        (MINI.hash, "rte", 60.0),
    ]
    for each in rows:
        assert {name: each[name] for name in facts} == facts
        assert (each["protocol"], each["origin"], each["source"], each["replicate"]) == ("p", "published", "me", 0)
    assert list(load_space(found.spaces["rte"])) == [TINY, MINI]


def test_the_same_file_again_adds_nothing_and_another_score_is_refused(write, tmp_path):
    rows = [row(TINY, rte=57.0), row(MINI, rte=60.0), row(TINY, rte=58.0)]
    assert import_table(write(rows), "g1", tmp_path / "store").fresh == 3
    assert import_table(write(rows), "g1", tmp_path / "store").fresh == 0
    answer = load_benchmark(store=tmp_path / "store").query(TINY, "rte", "mine")
    assert (answer.value, answer.n) == (57.5, 2)  # a card that is there twice was trained twice
    with pytest.raises(ResultConflictError, match="57"):
        import_table(write([row(TINY, rte=57.1)]), "g1", tmp_path / "store")
    assert len(Store(tmp_path / "store").rows()) == 3


def test_a_failed_evaluation_is_nan_and_an_empty_cell_nothing(tmp_path):
    path = tmp_path / "mine.csv"
    cell = TINY.to_json().replace('"', '""')
    path.write_text(f'model_card,rte,sst2\n"{cell}",nan,\n')
    import_table(path, "g1", tmp_path / "store")
    (only,) = Store(tmp_path / "store").rows()
    assert only["task"] == "rte"
    assert math.isnan(only["value"])


def test_fractions_are_points_only_if_one_says_so(write, tmp_path):
    path = write([row(TINY, rte=0.57), row(MINI, rte=0.6)])
    with pytest.raises(OptionError, match="scale them by 100"):
        import_table(path, "g1", tmp_path / "store")
    assert not (tmp_path / "store").exists()
    import_table(path, "g1", tmp_path / "store", scale=100)
    assert load_benchmark(store=tmp_path / "store").query(MINI, "rte", "mine").value == 60.0


BROKEN = [
    ({"rte": [57.0, "low"]}, "line 3: rte: 'low' is no number"),
    ({"rte": [57.0, 400.0]}, "line 3: scores: rte = 400.0 is not in points"),
    ({"rte": [57.0, None]}, "line 3: no score"),
    ({"rte": [57.0, 58.0], "model_card": [TINY.to_json(), "{"]}, "line 3: not JSON"),
    ({"rte": [57.0, 58.0], "model_card": [TINY.to_json(), '{"l": 2}']}, "line 3: "),
    ({"rte": [57.0, 58.0], "seed": [1, -4]}, "line 3: seed"),
    ({"rte": [57.0, 58.0], "seed": [1, 0.5]}, "line 3: seed"),
    ({"rte": [57.0, 58.0], "pretrain_seconds": [1, "long"]}, "line 3: pretrain_seconds: 'long' is no number"),
    ({"rte": [57.0, 58.0], "init": [None, "warm"]}, "line 3: init"),
    ({"rte": [57.0, 58.0], "hash": [TINY.hash, TINY.hash]}, "line 3: hash"),
    ({"rte": [57.0, 58.0], "note": ["a", "b"]}, "line 2: note: 'a' is no number; name the columns that are scores"),
]


@pytest.mark.parametrize(("columns", "says"), BROKEN)
def test_a_row_that_makes_no_sense_is_named_and_nothing_is_kept(write, tmp_path, columns, says):
    frame = {"model_card": [TINY.to_json(), MINI.to_json()]} | columns
    with pytest.raises(TableCorruptError, match=r"mine\.csv") as caught:
        import_table(write(frame), "g1", tmp_path / "store")
    assert says in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_files_and_arguments_that_make_no_sense(write, tmp_path):
    good, store = write([row(TINY, rte=57.0, note="x")]), tmp_path / "store"
    assert import_table(good, "g1", store, tasks=["rte"]).fresh == 1
    with pytest.raises(TableCorruptError, match="no column 'mrpc'"):
        import_table(good, "g1", store, tasks=["rte", "mrpc"])
    with pytest.raises(TableCorruptError, match=r"line 2.*space pool"):
        import_table(good, "pool", store, tasks=["rte"])
    with pytest.raises(NotInSpaceError):
        import_table(good, "g9", store)
    for scale in (0, math.nan, math.inf, True, "x"):
        with pytest.raises(OptionError, match="scale"):
            import_table(good, "g1", store, scale=scale)
    (tmp_path / "empty.csv").write_text("model_card,rte\n")
    (tmp_path / "short.csv").write_text("model_card,rte\n{}\n")
    (tmp_path / "bytes.csv").write_bytes(b"model_card,rte\n\xff\xfe,1\n")
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    for name in ("empty.csv", "short.csv", "bytes.csv", "mine.parquet", "nowhere.csv"):
        with pytest.raises(TableCorruptError, match=name):
            import_table(tmp_path / name, "g1", store)
    with pytest.raises(OptionError, match="neither"):
        import_table(tmp_path / "mine.txt", "g1", store)
    with pytest.raises(TableCorruptError, match="no column 'model_card'"):
        import_table(write([{"card": "x", "rte": 1.0}]), "g1", store)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_is_imported_is_what_was_written(tmp_path_factory, data):
    folder, g2 = tmp_path_factory.mktemp("own"), load_space("g2")
    numbers = st.one_of(st.none(), st.floats(2, 100, allow_nan=False))
    indices = data.draw(st.lists(st.integers(0, g2.size - 1), min_size=1, max_size=8, unique=True))
    rows = [row(g2[index], rte=data.draw(st.floats(2, 100)), own=data.draw(numbers)) for index in indices]
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    import_table(folder / "t.csv", "g2", folder / "store", protocol="p")
    bench = load_benchmark(store=folder / "store")
    cards = [ModelCard.from_json(each["model_card"]) for each in rows]
    np.testing.assert_array_equal(bench.query_many(cards, "rte", "p"), [each["rte"] for each in rows])
    if any(each["own"] is not None for each in rows):
        expected = [math.nan if each["own"] is None else each["own"] for each in rows]
        np.testing.assert_array_equal(bench.query_many(cards, "own", "p"), expected)


SPACE = """
name = "sa-2021"
layers = [2, 4]
layers_per_stack = 1
hidden = [128, 256]
heads = [2, 4]
feed_forward = [512, 1024, 2048]
feed_forward_stacks = [1]
[operations]
SA = ["SDP", "WMA"]
"""


@pytest.mark.slow
def test_the_self_attention_models_of_2021_on_the_command_line(published, tmp_path, monkeypatch, capsys):
    """Feed-forward sizes that no shipped space has, two tasks with gaps, another protocol."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sa.toml").write_text(SPACE)
    file = published / "flexibert_2021_sa_space" / "sst2_qnli_818.csv"

    def flexnas(*arguments):
        code = run_app(list(map(str, arguments)))
        found = capsys.readouterr()
        assert (code, found.err) == (0, "")
        return found.out

    own = ("import", "table", file, "--space", "sa.toml", "--out", "store", "--protocol", "sa-2021")
    out = flexnas(*own, "--origin", "published", "--source", "flexibert-2021")
    assert "818 trainings, 1,280 scores" in out
    frame = pd.read_csv(file)
    best = frame.loc[frame["sst2"].idxmax()]
    asked = ("--store", "store", "--task", "sst2", "--protocol", "sa-2021")
    answer = json.loads(flexnas("query", best["model_card"], *asked, "--json"))
    assert (answer["value"], answer["origin"], answer["source"]) == (best["sst2"], "published", "flexibert-2021")
    for optimizer in ("random", "boshnas"):
        run = ("run", "--optimizer", optimizer, "--space", "store/sa-2021-sst2.jsonl", *asked, "--budget", 13)
        summary = json.loads(flexnas(*run, "--seeds", 2, "--out", optimizer, "--json"))
        assert summary["best_result"]["origin"] == "published"
        assert summary["best_result"]["value"] <= best["sst2"]
    assert "boshnas - random" in flexnas("compare", "boshnas", "random", "--store", "store")
    flexnas("surrogate", "fit", "--store", "store", "--protocol", "sa-2021", "--task", "sst2")
    known = {ModelCard.from_json(text) for text in frame["model_card"]}
    new = next(card for card in DesignSpace.from_toml("sa.toml").sample(99) if card not in known)
    answer = json.loads(flexnas("query", new.to_json(), *asked, "--kind", "auto", "--json"))
    assert (answer["origin"], answer["in_support"]) == ("predicted", True)
    assert 70 < answer["value"] < 95
    flexnas("embed", "--space", "store/sa-2021-qnli.jsonl", "--distance", "alignment", "--out", "vectors.parquet")
    assert len(pd.read_parquet("vectors.parquet")) == 660
    assert run_app([*map(str, own[:3]), "--space", "g1", "--out", "other"]) == 2
    assert "sst2_qnli_818.csv, line" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    space = DesignSpace.from_toml("sa.toml")
    assert all(card in space for card in known)
