"""What CONTRIBUTING.md promises to whoever brings an optimizer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flexnas_bench import make_optimizer, search
from flexnas_bench.searching.runs import RUNS_FILE, read_runs
from tests.third_party.annealing import Annealing

SOURCE = Path(__file__).with_name("annealing.py")


@pytest.fixture
def installed(tmp_path):
    """A folder on the path of Python with the optimizer in it, installed as any package is."""
    (tmp_path / "annealing.py").write_bytes(SOURCE.read_bytes())
    info = tmp_path / "annealing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: annealing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flexnas_bench.optimizers]\nannealing = annealing:Annealing\n")
    return os.environ | {"PYTHONPATH": str(tmp_path)}


def test_it_is_short():
    assert len(SOURCE.read_text().splitlines()) < 40


# By class it is found in another way alone, which tests/cli/test_cli.py takes too.
@pytest.mark.parametrize("name", ["annealing", pytest.param("annealing:Annealing", marks=pytest.mark.slow)])
def test_it_runs_from_the_command_line(bench, installed, tmp_path, name):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "flexnas_bench"]
    run = [*command, "run", "--optimizer", name, "--budget", "25", "--seeds", "2", "--jobs", "2", "--json"]
    options = ["--option", "temperature=0.3", "--out", str(out)]
    done = subprocess.run([*run, *options], env=installed, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["settings"]["options"] == {"temperature": 0.3}
    frame = read_runs(out / RUNS_FILE)
    here = [search(bench, Annealing, budget=25, seed=seed, temperature=0.3).frame for seed in (0, 1)]
    assert frame["card_hash"].tolist() == [digest for run in here for digest in run["card_hash"]]
    listed = subprocess.run(
        [*command, "optimizers", "--json"], env=installed, capture_output=True, text=True, check=True
    )
    assert json.loads(listed.stdout)["annealing"]["options"] == {"temperature": 0.5, "cooling": 0.95}


def test_it_runs_from_python_by_class_and_resumes(bench, tmp_path):
    whole = search(bench, Annealing, budget=20, seed=3, initial="paper12")
    search(bench, Annealing, budget=15, seed=3, initial="paper12", out=tmp_path / "run")
    resumed = search(bench, Annealing, budget=20, seed=3, initial="paper12", out=tmp_path / "run")
    assert resumed.frame["card_hash"].tolist() == whole.frame["card_hash"].tolist()


def test_it_searches_three_billion_cards():
    optimizer = make_optimizer(Annealing, "g3", seed=1)
    for _ in range(40):
        (card,) = optimizer.ask()
        optimizer.tell([card], [-card.parameters / 1e6])
    assert max(optimizer.values[10:]) > max(optimizer.values[:10])
