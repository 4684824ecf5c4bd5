"""A search that trains: every value is that of a training, and is there again when the search goes on."""

import json

import pandas as pd
import pytest

from flexnas_bench import Store, load_benchmark
from flexnas_bench.cli.app import run_app
from flexnas_bench.searching.runs import RUNS_FILE, read_runs
from flexnas_bench.training.backend import Backend

SPACE = """
name = "tiny"
layers = [1, 2]
layers_per_stack = 1
hidden = [16]
heads = [2, 4]
feed_forward = [24]
feed_forward_stacks = [1]
[operations]
SA = ["SDP"]
LT = ["DFT"]
"""


@pytest.fixture
def search(small_data, small_protocol, tmp_path):
    (tmp_path / "tiny.toml").write_text(SPACE)

    def command(*arguments, out="out", budget="2"):
        common = ["--space", str(tmp_path / "tiny.toml"), "--data", str(small_data), "--out", str(tmp_path / out)]
        common += ["--optimizer", "random", "--protocol", str(small_protocol), "--budget", budget, "--task", "rte"]
        return ["run", "--live", *common, *arguments]

    return command


def frame(path):
    return read_runs(path / RUNS_FILE).drop(columns=["ask_seconds", "cost_seconds", "finished_at"])


def test_values_are_those_of_trainings(search, tmp_path, capsys):
    assert run_app(search("--json")) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["settings"]["kind"] == "live"
    assert summary["best_result"]["origin"] == "measured"
    rows, bench = read_runs(tmp_path / "out" / RUNS_FILE), load_benchmark(store=tmp_path / "out" / "store")
    assert len(rows) == 2
    for row in rows.itertuples():
        found = bench.query(row.card_hash, "rte", "small")
        assert (row.value, row.origin) == (found.value, "measured")
        assert row.cost_seconds == pytest.approx(found.cost_seconds)
    assert len(Store(tmp_path / "out" / "store").rows()) == 2


def test_it_goes_on_and_trains_nothing_twice(search, tmp_path, monkeypatch):
    trained = []
    real = Backend._pretrain
    monkeypatch.setattr(Backend, "_pretrain", lambda self, card, *some: trained.append(card) or real(self, card, *some))
    assert run_app(search(budget="1")) == 0
    assert len(trained) == 1
    assert run_app(search(budget="2")) == 0
    assert len(trained) == 2
    assert run_app(search("--store", str(tmp_path / "out" / "store"), out="other")) == 0
    assert len(trained) == 2  # the store had them all
    pd.testing.assert_frame_equal(frame(tmp_path / "other"), frame(tmp_path / "out"))


@pytest.mark.slow
def test_seeds_share_what_is_trained(search, tmp_path):
    assert run_app(search("--seeds", "3", budget="6")) == 0
    rows = read_runs(tmp_path / "out" / RUNS_FILE)
    assert rows.groupby("card_hash")["value"].nunique().eq(1).all()
    assert len(Store(tmp_path / "out" / "store").rows()) == rows["card_hash"].nunique()


def test_weights_are_transferred(search, tmp_path):
    assert run_app(search("--transfer", "--overlap", "0.5", budget="5")) == 0
    rows = Store(tmp_path / "out" / "store").rows()
    assert len(rows) == 5
    first, *others = rows
    assert first["init"] == "scratch"
    assert any(row["init"] != "scratch" for row in others)


def test_tasks_that_nobody_published_are_trained_too(search, tmp_path):
    assert run_app(search("--task", "wnli", budget="1")) == 0
    assert [row["task"] for row in Store(tmp_path / "out" / "store").rows()] == ["wnli"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--jobs", "2"], "trains one card at a time"),
        (["--workers", "2"], "trains one card at a time"),
        (["--noisy"], "is noisy by itself"),
        (["--kind", "surrogate"], "and measured"),
        (["--task", "sentiment"], "GLUE has no sentiment"),
        (["--protocol", "electra-owt-100k"], "cannot be run"),
    ],
)
def test_what_makes_no_sense_is_refused(search, tmp_path, capsys, arguments, reason):
    assert run_app(search(*arguments)) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "trained").exists()


def test_settings_of_trainings_need_one(capsys):
    for arguments in (["--data", "somewhere"], ["--device", "cpu"]):
        assert run_app(["run", "--budget", "3", *arguments]) == 2
        assert "without --live there are none" in capsys.readouterr().err


def test_scores_of_other_settings_are_not_taken(search, small_protocol, tmp_path, capsys):
    assert run_app(search(budget="1")) == 0
    small_protocol.write_text(small_protocol.read_text().replace("steps = 6", "steps = 7"))
    assert run_app(search("--store", str(tmp_path / "out" / "store"), out="other")) == 2
    assert "scores of protocol small under other settings" in capsys.readouterr().err


def test_another_seed_in_the_store_is_not_averaged(search, small_data, small_protocol, tmp_path):
    assert run_app(search(budget="1")) == 0
    before = frame(tmp_path / "out")
    card = read_runs(tmp_path / "out" / RUNS_FILE)["card_hash"].iloc[0]
    store, again = str(tmp_path / "out" / "store"), str(tmp_path / "again")
    train = ["train", card, "--protocol", str(small_protocol), "--data", str(small_data), "--tasks", "rte"]
    assert run_app([*train, "--store", store, "--seed", "1", "--out", again]) == 0
    assert run_app(search(budget="1")) == 0  # goes on with the values it had
    pd.testing.assert_frame_equal(frame(tmp_path / "out"), before)
