"""A user's own space and results on the command line, from the first append to a search."""

import json
from pathlib import Path

import numpy as np
import pytest

from flexnas_bench import DesignSpace, Store, Training, load_benchmark
from flexnas_bench.cli import checking
from flexnas_bench.cli.app import run_app
from flexnas_bench.searching.runs import RUNS_FILE, read_runs

SPACE = """
name = "small"
layers = [2]
layers_per_stack = 1
hidden = [128]
heads = [2, 4]
feed_forward = [512]
feed_forward_stacks = [1]
[operations]
SA = ["SDP", "WMA"]
LT = ["DCT"]
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A space of 36 cards, and a store with a score of each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SPACE)
    space = DesignSpace.from_toml("small.toml")
    Store("mine").append(
        Training(card=card, protocol="p", scores={"rte": 50.0 + i}, pretrain_seconds=600.0, finetune_seconds=60.0)
        for i, card in enumerate(space)
    )
    return space


def output(capsys, *arguments):
    code = run_app(list(arguments))
    found = capsys.readouterr()
    assert (code, found.err) == (0, "")
    return found.out


def test_a_search_of_ones_own_space_and_results(own, capsys):
    arguments = ("--store", "mine", "--space", "small.toml", "--task", "rte", "--protocol", "p", "--out", "run")
    run = ("run", "--optimizer", "random", "--budget", "14", "--initial", "5", "--seeds", "2", "--jobs", "2")
    summary = json.loads(output(capsys, *run, *arguments, "--json"))
    assert summary["settings"]["space"] == "small"
    assert summary["best_result"]["origin"] == "measured"
    frame = read_runs(Path("run") / RUNS_FILE)
    values = load_benchmark(store="mine").query_many(frame["card_hash"], "rte", "p")
    np.testing.assert_array_equal(frame["value"], values)
    assert frame["finished_at"].max() == pytest.approx(14 * 660)
    Path("small.toml").write_text(SPACE.replace("heads = [2, 4]", "heads = [2]"))
    assert run_app([*run, *arguments]) == 2
    assert "its space has other cards" in capsys.readouterr().err


def test_query_info_verify_and_compact_see_the_store(own, monkeypatch, capsys):
    monkeypatch.setattr(checking, "verify_tables", lambda folder: iter(()))  # not of the shipped tables, which are many
    card = own[7]
    asked = ("query", card.hash, "--task", "rte", "--protocol", "p", "--store", "mine")
    answer = json.loads(output(capsys, *asked, "--json"))
    assert (answer["value"], answer["origin"], answer["cost_seconds"]) == (57.0, "measured", 660.0)
    assert "rte 57.00" in output(capsys, "info", card.hash, "--store", "mine")
    facts = json.loads(output(capsys, "info", "--store", "mine", "--json"))
    assert facts["protocols"]["p"]["cards"] == own.size
    Store("mine").append([Training(card=card, protocol="p", scores={"rte": 60.0}, replicate=1)])
    assert output(capsys, "compact", "mine") == "mine: 2 parts, now 1\n"
    assert "sd 2.12" in output(capsys, *asked)
    assert "ok     rows (37)" in output(capsys, "verify", "--store", "mine")
    (part,) = Store("mine").folder.glob("0*.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    for command in (["verify"], ["query", card.hash], ["info"], ["run", "--optimizer", "random"]):
        assert run_app([*command, "--store", "mine"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert run_app(["compact", "mine"]) == 2
    assert part.exists()
