import json
import os
import re
import shutil
import signal
import time

import pytest

from flexnas_bench import ModelCard, Store
from flexnas_bench.cli.app import run_app
from tests.conftest import SMALL
from tests.processes import Command

CARD = json.dumps(SMALL)


@pytest.fixture
def train(small_data, small_protocol, tmp_path):
    def command(*arguments, card=CARD, out="out"):
        common = ["--protocol", str(small_protocol), "--data", str(small_data), "--out", str(tmp_path / out)]
        return ["train", card, *common, *arguments]

    return command


def test_a_training_is_shown_and_left_behind(train, tmp_path, capsys):
    assert run_app(train("--tasks", "rte,wnli")) == 0
    shown = capsys.readouterr().out
    assert "measured, protocol small" in shown
    rows = {row["task"]: row["value"] for row in Store(tmp_path / "out" / "store").rows()}
    for task, value in rows.items():
        assert re.search(rf"{task} .* accuracy .* {value:.2f}", shown)
    assert ModelCard.from_dict(SMALL).hash in shown
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert run_app(train("--tasks", "rte,wnli", "--json")) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {one["task"]: one["value"] for one in facts["tasks"]} == rows
    assert json.loads((tmp_path / "out" / "scores.json").read_bytes()) == facts
    assert run_app(["query", CARD, "--task", "rte", "--protocol", "small", "--store", facts["store"]]) == 0
    assert "measured, small" in capsys.readouterr().out


@pytest.mark.slow
def test_a_mean_stands_for_its_tasks(train, tmp_path, capsys):
    assert run_app(train("--tasks", "glue9", "--store", str(tmp_path / "store"))) == 0
    shown = capsys.readouterr().out
    values = [row["value"] for row in Store(tmp_path / "store").rows()]
    assert len(values) == 9
    for mean, count in (("glue8", 8), ("glue9", 9)):
        assert re.search(rf"{mean} .* mean .* {sum(values[:count]) / count:.2f}", shown)
    query = ["query", CARD, "--task", "glue9", "--protocol", "small", "--store", str(tmp_path / "store"), "--json"]
    assert run_app(query) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] == pytest.approx(sum(values) / 9)
    spent = {row["task"]: row["finetune_seconds"] for row in Store(tmp_path / "store").rows()}
    assert found["cost_seconds"] > sum(spent.values()) > max(spent.values())
    assert run_app(["verify", "--store", str(tmp_path / "store")]) == 0


def test_weights_are_taken_from_earlier_trainings(train, tmp_path, capsys):
    assert run_app(train("--tasks", "rte", out="trained/small")) == 0
    one = json.dumps({"l": 1, **{name: SMALL[name][:1] for name in "ohnfp"}})
    assert run_app(train("--tasks", "rte", "--donors", str(tmp_path / "trained"), card=one, out="one")) == 0
    assert f"weights of {ModelCard.from_dict(SMALL).hash[:12]}... saved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tasks", "snli"], "unknown task 'snli'"),
        (["--tasks", ""], "unknown task ''"),
        (["--device", "abacus"], "device 'abacus'"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
        (["--donors", "nowhere"], "--donors: nowhere: no such folder"),
        (["--protocol", "electra-owt-100k"], "is a record and cannot be run"),
        (["--protocol", "nothing"], "unknown protocol 'nothing'"),
        (["--data", "nowhere"], "nowhere/glue/cola/train.parquet: no such file"),
        (["--overlap", "2"], "--overlap"),
    ],
)
def test_what_makes_no_sense_is_refused(train, tmp_path, capsys, arguments, reason):
    assert run_app(train(*arguments)) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_card_must_be_one(train, capsys):
    assert run_app(train(card="{}")) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def begin(train, tmp_path):
    """Starts a training in a process of its own, which has its folder when it is handed over."""

    def start():
        process = Command(train("--tasks", "rte"), tmp_path)
        process.start()
        while not (tmp_path / "out" / "tasks.jsonl").exists():
            assert process.is_alive(), process.errors
            time.sleep(0.02)
        return process

    return start


@pytest.fixture
def long(small_protocol):
    """A pre-training that takes longer than anybody waits."""
    small_protocol.write_text(small_protocol.read_text().replace("steps = 6", "steps = 100000"))


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_pretraining_is_kept(begin, tmp_path, number, code):
    out = tmp_path / "out"
    process = begin()
    time.sleep(3)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == code, process.errors
    assert "the same command goes on from there" in process.errors
    assert "Traceback" not in process.errors
    assert (out / "pretraining.safetensors").exists()
    assert not (out / "model").exists()


@pytest.mark.usefixtures("long")
def test_who_presses_twice_does_not_wait(begin, tmp_path):
    process = begin()
    time.sleep(3)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.001)
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130, process.errors
    assert "Traceback" not in process.errors
    assert not list((tmp_path / "out").glob(".pretraining*"))  # nothing half written


@pytest.mark.usefixtures("long")
def test_two_at_once_do_not_mix(begin, train, capsys):
    first = begin()
    assert run_app(train("--tasks", "rte")) == 2
    assert "another process is writing" in capsys.readouterr().err
    assert first.is_alive()
    first.kill()
    first.join()


def test_a_damaged_folder_is_told(train, tmp_path, capsys):
    assert run_app(train("--tasks", "rte")) == 0
    shutil.copy(tmp_path / "out" / "curves.png", tmp_path / "out" / "tasks.jsonl")
    assert run_app(train("--tasks", "rte")) == 2
    assert "tasks.jsonl, line 1: not the record of a task or a trial" in capsys.readouterr().err
    (tmp_path / "out" / "training.json").write_text("[]")
    assert run_app(train("--tasks", "rte")) == 2
    assert "not readable as settings of a training" in capsys.readouterr().err
