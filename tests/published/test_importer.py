import csv
import json
import shutil
from statistics import fmean

import pandas as pd
import pyarrow.parquet as pq
import pytest

from flexnas_bench import ModelCard, NotMeasuredError, OptionError, TableCorruptError, load_published, storage
from flexnas_bench.named import PAPER12
from flexnas_bench.published.figures import FIGURES
from flexnas_bench.published.importer import import_published
from flexnas_bench.published.trainings import CURVES, EARLY, GLUE_500
from flexnas_bench.results import GLUE_METRICS
from flexnas_bench.shipped import training_tables
from flexnas_bench.verification import IMPORTED

SCORES = dict.fromkeys(GLUE_METRICS, 60.0) | {"glue8": 60.0}
TINY = ModelCard.named("bert-tiny")
GLUE_ROW = {"model_card": TINY.to_json(), "pretrain_steps": 100_000, "pretrain_seconds": 1_000.0} | SCORES
CURVE_ROW = {"curve_id": 0, "model_card": TINY.to_json(), "pretrain_steps": 150_000} | SCORES
EARLY_ROW = {"authors_hash": "ab" * 32, "glue_score": 0.4} | {k: json.dumps(v) for k, v in TINY.to_dict().items()}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def figures(folder, *changes, curve=(), early=()):
    """Tiny published figures: one good row of `glue_500.csv` for each change, and one row of everything else."""
    write(folder / GLUE_500, [{"id": i} | GLUE_ROW | change for i, change in enumerate(changes or [{}])])
    write(folder / CURVES, [CURVE_ROW | dict(curve)])
    write(folder / EARLY, [EARLY_ROW | dict(early)])
    examples = {"text": "x", "int": 1, "real": 0.5, "card": TINY.to_json()}
    for figure in FIGURES.values():
        row = {name: examples[kind.rstrip("?")] for name, kind in figure.columns.items()}
        for name in figure.files:
            write(folder / "flexibert_2023" / name, [row])
    return folder


def test_the_shipped_tables_are_what_the_importer_makes(published, tmp_path):
    shipped = storage.data_folder()
    for name in training_tables([]):  # what was measured stays beside what is imported
        shutil.copy(shipped / name, tmp_path)
    import_published(published, tmp_path)
    for name, schema in IMPORTED.items():
        made, there = tmp_path / name, shipped / name
        assert storage.read_parquet(made, schema) == storage.read_parquet(there, schema)
        same_writer = pq.read_metadata(made).created_by == pq.read_metadata(there).created_by
        assert not same_writer or made.read_bytes() == there.read_bytes()


def test_every_published_score_is_answered(published, bench):
    trainings: dict[str, list[dict[str, str]]] = {}
    with (published / GLUE_500).open(newline="") as file:
        for row in csv.DictReader(file):
            trainings.setdefault(ModelCard.from_json(row["model_card"]).hash, []).append(row)
    assert len(trainings) == 491
    assert sum(len(rows) == 2 for rows in trainings.values()) == 9
    for digest, rows in trainings.items():
        for task in (*GLUE_METRICS, "glue8"):
            assert bench.query(digest, task).value == pytest.approx(fmean(float(row[task]) for row in rows), abs=1e-3)
        assert bench.query(digest).n == len(rows)
        for replicate, row in enumerate(rows):
            assert bench.query(digest, "rte", replicate=replicate).value == float(row["rte"])


def test_a_card_trained_twice_has_two_replicates(tmp_path):
    rows = import_published(figures(tmp_path / "in", {}, {}), tmp_path / "out")
    assert rows.keys() == IMPORTED.keys()
    counts = {"architectures.parquet": 9_312, "pool.parquet": 1, "runs_trained.parquet": 4, "results.parquet": 28}
    assert counts.items() <= rows.items()
    runs = storage.read_parquet(tmp_path / "out" / "runs_trained.parquet").to_pylist()
    assert [run["replicate"] for run in runs] == [0, 1, 0, 0]
    assert [run["origin"] for run in runs] == ["published"] * 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rte": "sixty"}, "line 3: could not convert"),
        ({"glue8": 61.0}, "line 3: glue8 is 61.0, the mean of its tasks 60.0"),
        ({"model_card": "{"}, "line 3: not JSON"),
        ({"glue8": "nan"}, "line 3: glue8 is nan"),
        ({"rte": "nan", "glue8": "nan"}, "line 3: glue8 is nan"),
        ({"pretrain_seconds": "inf"}, "line 3: pretrain_seconds"),
        ({"pretrain_seconds": "-1"}, "line 3: pretrain_seconds"),
        ({"pretrain_steps": 1_000_000}, "line 3: pretrain_steps is 1000000"),
        ({"id": 0}, "training nas-bench-bert-2023/000 stands there 2 times"),
        ({"model_card": "x" * 200_000}, "field larger than"),
        ({"model_card": json.dumps({"l": 2})}, "line 3: field f: missing"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, change, says):
    with pytest.raises(TableCorruptError, match=says):
        import_published(figures(tmp_path / "in", {}, change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"curve": {"pretrain_steps": 150_001}}, "curves_15.csv, line 2: pretrain_steps is 150001, no multiple"),
        ({"curve": {"pretrain_steps": 50_000}}, "does not describe electra-owt-1m-step-50k"),
        ({"curve": {"glue8": 61}}, "curves_15.csv, line 2: glue8"),
        ({"early": {"glue_score": 42.0}}, "top10_glue.csv, line 2: glue_score is 42.0"),
        ({"early": {"o": "SA, SA"}}, "top10_glue.csv, line 2"),
    ],
)
def test_a_bad_row_of_the_other_trainings_is_named_too(tmp_path, changes, says):
    with pytest.raises(TableCorruptError, match=says):
        import_published(figures(tmp_path / "in", **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rows_that_are_too_short_or_too_long_are_named(tmp_path):
    path = figures(tmp_path / "in") / "flexibert_2023" / "table2.csv"
    header = path.read_text().splitlines()[0]
    for row in ("x", "x,y,z"):
        path.write_text(f"{header}\n{row}\n")
        with pytest.raises(TableCorruptError, match=r"table2\.csv, line 2: not as many cells"):
            import_published(tmp_path / "in", tmp_path / "out")
    for name, bad in (("fig7.csv", "nan"), ("fig7.csv", "inf")):
        path = figures(tmp_path / "in") / "flexibert_2023" / name
        path.write_text(path.read_text().replace("0.5", bad, 1))
        with pytest.raises(TableCorruptError, match=f"line 2: {bad} is no figure"):
            import_published(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_foreign_checksums_file_is_left_alone(tmp_path):
    folder, out = figures(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / storage.CHECKSUMS).write_bytes(b"\xff")
    with pytest.raises(TableCorruptError, match="CHECKSUMS"):
        import_published(folder, out)
    assert [path.name for path in out.iterdir()] == [storage.CHECKSUMS]


@pytest.mark.parametrize("name", [name for figure in FIGURES.values() for name in figure.files])
def test_a_bad_figure_is_named_too(tmp_path, name):
    folder = figures(tmp_path / "in")
    path = folder / "flexibert_2023" / name
    path.write_text(path.read_text().partition(",")[2])
    with pytest.raises(TableCorruptError, match=name):
        import_published(folder, tmp_path / "out")
    path.unlink()
    with pytest.raises(TableCorruptError, match=f"cannot read .*{name}"):
        import_published(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_and_empty_figures(tmp_path):
    with pytest.raises(TableCorruptError, match="cannot read"):
        import_published(tmp_path, tmp_path / "out")
    path = figures(tmp_path / "in") / GLUE_500
    path.write_text(path.read_text().splitlines()[0])
    with pytest.raises(TableCorruptError, match="no rows"):
        import_published(tmp_path / "in", tmp_path / "out")
    path.write_text("id,nothing\n1,2\n")
    with pytest.raises(TableCorruptError, match="line 2: no column 'model_card'"):
        import_published(tmp_path / "in", tmp_path / "out")


def test_every_point_of_the_curves_is_answered(published, bench):
    with (published / CURVES).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 285
    for row in rows:
        card, steps = ModelCard.from_json(row["model_card"]), int(row["pretrain_steps"])
        curve = bench.trajectory(card, "rte").set_index("pretrain_steps")
        assert len(curve) == 19
        assert curve.loc[steps, "value"] == float(row["rte"])
        result = bench.query(card, "glue8", f"electra-owt-1m-step-{steps // 1000}k")
        assert result.value == pytest.approx(float(row["glue8"]), abs=1e-3)
        assert bench.protocols[result.protocol]["pretraining_steps"] == steps


def test_the_early_scores_keep_to_their_own_protocol(published, bench):
    with (published / EARLY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = bench.to_frame("glue", "flexibert-2021-early").set_index("card_hash")["value"]
    assert len(found) == len(rows) == 10
    for row in rows:
        card = ModelCard.from_dict({field: json.loads(row[field]) for field in "lohnfp"})
        assert found[card.hash] == pytest.approx(100 * float(row["glue_score"]))
        with pytest.raises(NotMeasuredError):
            bench.query(card)


@pytest.mark.parametrize("name", FIGURES)
def test_every_published_number_is_in_its_table(published, name):
    raw = [
        row
        for file in FIGURES[name].files
        for row in csv.DictReader((published / "flexibert_2023" / file).read_text().splitlines())
    ]
    frame = load_published(name)
    assert len(frame) == len(raw)
    assert set(frame["source"]) == {"flexibert-2023"}
    assert list(frame.columns) == [*raw[0], "source"]
    for column, kind in FIGURES[name].columns.items():
        for there, row in zip(frame[column], raw, strict=True):
            if row[column] == "":
                assert pd.isna(there)
            elif kind.startswith("card"):
                assert ModelCard.from_json(there) == ModelCard.from_json(row[column])
            else:
                assert there == type(there)(row[column])


def test_no_other_figure_is_published():
    with pytest.raises(OptionError, match="there are table1"):
        load_published("fig6")


def test_the_named_cards_are_the_published_ones(published):
    named = json.loads((published / "flexibert_2023" / "model_cards.json").read_text())
    ours = {
        "BERT-Tiny": "bert-tiny",
        "best_s2": "flexibert-best-s2",
        "FlexiBERT-Mini (best s=1 and s=1*)": "flexibert-mini",
        "FlexiBERT-Mini w/o S.": "flexibert-mini-without-second-order",
        "FlexiBERT-Mini w/o H.": "flexibert-mini-without-heteroscedasticity",
        "FlexiBERT-Large": "flexibert-large",
    }
    initial = named.pop("initial_12_models")
    ours |= {name: name.lower().replace("/", "-") for name in initial}
    assert {ours[name] for name in initial} == set(PAPER12)
    for name, entry in (named | initial).items():
        assert ModelCard.from_dict(entry["card"]) == ModelCard.named(ours[name])
