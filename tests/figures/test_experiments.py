import subprocess
import sys
from pathlib import Path

import pytest

from flexnas_bench.figures.paper import spaces
from flexnas_bench.figures.paper.techniques import TECHNIQUES
from flexnas_bench.loading import load_benchmark
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.runs import RUNS_FILE, read_runs
from flexnas_bench.storage import data_folder

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def program(name, *options):
    words = [sys.executable, BENCHMARKS / name, "--seeds", "3", *options]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


def experiments(out, *options):
    return program("experiments.py", "--budget", "12", "--out", out, "--draft", *options)


def runs(folder):
    return read_runs(folder / RUNS_FILE).drop(columns="ask_seconds")


@pytest.mark.slow
def test_the_searches_behind_the_figures_run_and_are_the_same_again(tmp_path, monkeypatch):
    told = experiments(tmp_path / "one")
    assert "27 of 27 done" in told
    experiments(tmp_path / "two", "--only", "figure-3a")
    for method in TECHNIQUES.values():
        first, again = (runs(tmp_path / name / "figure-3a" / method) for name in ("one", "two"))
        assert first.equals(again)
        assert sorted(first["seed"].unique()) == [0, 1, 2]

    def drafts(name):
        """In place of what is shipped."""
        (panel,) = (panel for panel in spaces.PANELS if panel.runs == name)
        return Comparison.read([tmp_path / "one" / panel.runs / method for method in panel.methods])

    monkeypatch.setattr(spaces, "shipped_runs", drafts)
    data = spaces.spaces_figure(load_benchmark()).data
    assert data.groupby(["panel", "method", "series"]).size().unstack()["run"].tolist() == [3] * 18


@pytest.mark.slow
def test_the_other_half_of_make_experiments_runs_with_three_seeds_and_ships_nothing(tmp_path):
    before = (data_folder() / "CHECKSUMS").read_bytes()
    told = program("search_quality.py", "--problems", "pool", "g1", "--ablations", "pool", "g1", "--out", tmp_path)
    for name in ("pool, best", "g1, best", "ablations on pool", "ablations on g1", "mean ranks"):
        assert f"\n{name}" in told
    assert runs(tmp_path / "g1" / "boshnas")["seed"].nunique() == 3
    assert (data_folder() / "CHECKSUMS").read_bytes() == before
