import subprocess
import sys
from pathlib import Path

import pytest

from flexnas_bench.figures.paper import spaces
from flexnas_bench.figures.paper.techniques import TECHNIQUES
from flexnas_bench.loading import load_benchmark
from flexnas_bench.searching.runs import RUNS_FILE, read_runs

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "experiments.py"


def experiments(out, *options):
    words = [sys.executable, SCRIPT, "--seeds", "3", "--budget", "12", "--out", out, "--draft", *options]
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True).stdout


def runs(folder):
    return read_runs(folder / RUNS_FILE).drop(columns="ask_seconds")


@pytest.mark.slow
def test_the_searches_behind_the_figures_run_and_are_the_same_again(tmp_path, monkeypatch):
    told = experiments(tmp_path / "one")
    assert "18 of 18 done" in told
    experiments(tmp_path / "two", "--only", "figure-3a")
    for method in TECHNIQUES.values():
        first, again = (runs(tmp_path / name / "figure-3a" / method) for name in ("one", "two"))
        assert first.equals(again)
        assert sorted(first["seed"].unique()) == [0, 1, 2]

    def comparison(paths):
        """The draft in place of what is shipped."""
        (panel,) = (panel for panel in spaces.PANELS if panel.runs == paths[0].stem)
        return shipped([tmp_path / "one" / panel.runs / method for method in panel.methods])

    shipped = spaces.Comparison.read
    monkeypatch.setattr(spaces.Comparison, "read", comparison)
    data = spaces.spaces_figure(load_benchmark()).data
    assert data.groupby(["panel", "method", "series"]).size().unstack()["run"].tolist() == [3] * 18
