import csv
import json
from statistics import fmean

import pyarrow.parquet as pq
import pytest

from flexnas_bench import ModelCard, TableCorruptError, storage
from flexnas_bench.published import GLUE_500, import_published
from flexnas_bench.results import ARCHITECTURES, GLUE_METRICS, POOL, RESULTS, RUNS_TRAINED

TABLES = {
    "architectures.parquet": ARCHITECTURES,
    "pool.parquet": POOL,
    "results.parquet": RESULTS,
    "runs_trained.parquet": RUNS_TRAINED,
}
FIELDS = ("id", "model_card", "pretrain_steps", "pretrain_seconds", *GLUE_METRICS, "glue8")


def figures(folder, *changes):
    """A tiny `glue_500.csv`: one good row for each change."""
    row = dict.fromkeys(FIELDS[4:-1], 60.0) | {
        "id": 0,
        "model_card": ModelCard.named("bert-tiny").to_json(),
        "pretrain_steps": 100_000,
        "pretrain_seconds": 1_000.0,
        "glue8": 60.0,
    }
    path = folder / GLUE_500
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(row | {"id": i} | change for i, change in enumerate(changes))
    return folder


def test_the_shipped_tables_are_what_the_importer_makes(published, tmp_path):
    import_published(published, tmp_path)
    shipped = storage.data_folder()
    for name, schema in TABLES.items():
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
        for task in FIELDS[4:]:
            assert bench.query(digest, task).value == pytest.approx(fmean(float(row[task]) for row in rows), abs=1e-3)
        assert bench.query(digest).n == len(rows)
        for replicate, row in enumerate(rows):
            assert bench.query(digest, "rte", replicate=replicate).value == float(row["rte"])


def test_a_card_trained_twice_has_two_replicates(tmp_path):
    rows = import_published(figures(tmp_path / "in", {}, {}), tmp_path / "out")
    assert rows == {
        "architectures.parquet": 9_312,
        "pool.parquet": 1,
        "runs_trained.parquet": 2,
        "results.parquet": 18,
    }
    runs = storage.read_parquet(tmp_path / "out" / "runs_trained.parquet").to_pylist()
    assert [run["replicate"] for run in runs] == [0, 1]
    assert [run["origin"] for run in runs] == ["published"] * 2


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
        ({"id": 0}, "line 3: id 0 stands there twice"),
        ({"model_card": "x" * 200_000}, "field larger than"),
        ({"model_card": json.dumps({"l": 2})}, "line 3: field f: missing"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(tmp_path, change, says):
    with pytest.raises(TableCorruptError, match=says):
        import_published(figures(tmp_path / "in", {}, change), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_and_empty_figures(tmp_path):
    with pytest.raises(TableCorruptError, match="cannot read"):
        import_published(tmp_path, tmp_path / "out")
    with pytest.raises(TableCorruptError, match="no rows"):
        import_published(figures(tmp_path / "in"), tmp_path / "out")
    (tmp_path / "in" / GLUE_500).write_text("id,nothing\n1,2\n")
    with pytest.raises(TableCorruptError, match="line 2"):
        import_published(tmp_path / "in", tmp_path / "out")
