import json
import math

import pandas as pd
import pytest

from flexnas_bench import load_benchmark, load_published
from flexnas_bench.figures.paper.registry import FIGURES
from flexnas_bench.figures.paper.tables import TABLES, paper_table


@pytest.mark.parametrize("numbers", [["1"], ["4", "9"], ["all", "9"]])
def test_numbers_that_are_none_are_one_line(flexnas, tmp_path, numbers):
    code, out, error = flexnas("figures", *numbers, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "is none of" in error
    assert not (tmp_path / "out").exists()


def test_the_command_writes_what_it_names(flexnas, tmp_path):
    code, out, _ = flexnas("figures", "2", "8", "--out", tmp_path / "out")
    assert code == 0
    assert len(out.split()) == 8
    assert (
        f"Command: flexnas-bench figures 8 --out {tmp_path / 'out'}." in (tmp_path / "out" / "figure-8.md").read_text()
    )
    (tmp_path / "file").write_text("")
    assert flexnas("figures", "2", "--out", tmp_path / "file")[0] == 2


def test_all_among_numbers_means_all(flexnas):
    found = json.loads(flexnas("tables", "3", "all", "--json")[1])
    assert [one["title"].partition(":")[0] for one in found] == [f"Table {number}" for number in TABLES]


def test_nothing_is_drawn_for_a_folder_that_cannot_be_written(flexnas, tmp_path, monkeypatch):
    def draw(bench):
        raise AssertionError

    monkeypatch.setitem(FIGURES, "2", {"figure-2": draw})
    (tmp_path / "file").write_text("")
    (tmp_path / "out" / "figure-2.png").mkdir(parents=True)
    for out in ("file", "file/out", "out"):
        code, text, error = flexnas("figures", "2", "--out", tmp_path / out)
        assert (code, text, error.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("number", TABLES)
def test_a_table_has_all_that_is_published_unchanged(number):
    rows = paper_table(load_benchmark(), number).rows
    published = load_published(f"table{number}").drop(columns=["source", "recomputed_mean_of_9"], errors="ignore")
    assert set(published.columns) <= set(rows.columns)
    pd.testing.assert_frame_equal(rows.head(len(published))[published.columns], published, check_dtype=False)
    if "scores" in rows:
        ours = rows["scores"] != "published"
        assert ours.tolist() == [i >= len(published) for i in range(len(rows))]


def test_tables_are_json_for_programs(flexnas):
    def refuse(constant):
        raise AssertionError(constant)

    code, out, _ = flexnas("tables", "all", "--json")
    found = json.loads(out, parse_constant=refuse)
    assert (code, len(found)) == (0, 6)
    assert all(one["rows"] and one["note"] for one in found)


def test_table_3_has_no_empty_rows_and_says_which_mean_is_of_eight_tasks(bench):
    rows = paper_table(bench, "3").rows
    values = rows.drop(columns=["model", "scores", "params_M"])
    assert values.notna().any(axis=1).all()
    predicted = rows[rows["scores"] == "predicted (8 tasks)"].set_index("model")["Avg"]
    assert predicted["FlexiBERT-Mini"] == round(bench.query("flexibert-mini", kind="surrogate").value, 2)
    measured = rows[rows["scores"] == "measured"].set_index("model")
    assert {"BERT-Mini", "FlexiBERT-Mini", "FlexiBERT-Mini w/o S."} <= set(measured.index)
    score = bench.query("bert-mini", "rte", "cpu-lite", replicate=0).value
    assert math.isclose(measured.loc["BERT-Mini", "RTE"], score, abs_tol=0.005)
