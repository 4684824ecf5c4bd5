"""What CONTRIBUTING.md promises to whoever brings an optimizer."""

import json
import sys
from pathlib import Path

import pytest

from flexnas_bench import make_optimizer, search
from flexnas_bench.cli.app import run_app
from flexnas_bench.optimizers import registry
from flexnas_bench.searching.runs import RUNS_FILE, read_runs
from tests.third_party.annealing import Annealing

SOURCE = Path(__file__).with_name("annealing.py")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder on the path of Python with the optimizer in it, installed as any package is."""
    (tmp_path / "annealing.py").write_bytes(SOURCE.read_bytes())
    info = tmp_path / "annealing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: annealing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[flexnas_bench.optimizers]\nannealing = annealing:Annealing\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "annealing", raising=False)
    registry._entries.cache_clear()
    yield
    registry._entries.cache_clear()


def test_it_is_short():
    assert len(SOURCE.read_text().splitlines()) < 40


@pytest.mark.parametrize("name", ["annealing", "annealing:Annealing"])
def test_it_runs_from_the_command_line(bench, installed, tmp_path, capsys, name):
    out = tmp_path / "run"
    run = ["run", "--optimizer", name, "--budget", "25", "--seeds", "2", "--jobs", "2", "--json"]
    assert run_app([*run, "--option", "temperature=0.3", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["options"] == {"temperature": 0.3}
    frame = read_runs(out / RUNS_FILE)
    here = [search(bench, Annealing, budget=25, seed=seed, temperature=0.3).frame for seed in (0, 1)]
    assert frame["card_hash"].tolist() == [digest for run in here for digest in run["card_hash"]]
    assert run_app(["optimizers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["annealing"]["options"] == {"temperature": 0.5, "cooling": 0.95}


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
