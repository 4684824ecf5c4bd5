"""Real trainings in real processes, which tests kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from flexnas_bench import ModelCard, Store
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending, Job
from flexnas_bench.filling.local import LocalEngine
from flexnas_bench.filling.source import Planned
from flexnas_bench.filling.worker import Work
from flexnas_bench.store import KEY
from tests.conftest import SMALL

KINDS = (["SDP", 5], ["WMA", 5], ["SDP", 9])
CARDS = [SMALL | {"p": kinds} for kinds in KINDS]
TASKS = ("rte", "wnli")


@pytest.fixture
def work(small_data, small_protocol, tmp_path):
    return Work(str(small_protocol), tmp_path / "store", small_data, "cpu")


@pytest.fixture
def command(small_data, small_protocol, tmp_path):
    (tmp_path / "cards.txt").write_text("".join(json.dumps(card) + "\n" for card in CARDS))
    words = ["fill", "--cards", tmp_path / "cards.txt", "--protocol", small_protocol, "--data", small_data]
    words += ["--tasks", ",".join(TASKS), "--store", tmp_path / "store", "--device", "cpu"]
    return [sys.executable, "-m", "flexnas_bench", *map(str, words)]


def complete(folder, cards=CARDS, tasks=TASKS):
    """Whether a store has each score of each card once."""
    rows = Store(folder).rows()
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows)
    there = Counter((row["hash"], row["task"]) for row in rows)
    return there == Counter((ModelCard.from_dict(card).hash, task) for card in cards for task in tasks)


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_a_killed_worker_is_replaced_and_its_training_goes_on(work, tmp_path):
    work.prepare(TASKS)
    jobs = [Job(ModelCard.from_dict(card), TASKS) for card in CARDS[:2]]
    with LocalEngine(work) as engine:
        killed = []

        def kill(state):
            (crew,) = engine._crews
            if not killed and crew._busy and (work.folder(jobs[0].name) / "tasks.jsonl").exists():
                killed.append(crew._busy[0].process.pid)
                os.kill(killed[0], signal.SIGKILL)

        outcomes = Filler(Planned(jobs), engine, work.folder, tell=kill).run()
    assert killed
    assert [one.ending for one in outcomes] == [Ending.FINISHED] * 2
    assert complete(tmp_path / "store", CARDS[:2])


def test_a_driver_killed_with_its_workers_goes_on(command, tmp_path):
    driver = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store = Store(tmp_path / "store")
    while not (store.exists() and store.rows()):
        assert driver.poll() is None
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    assert not complete(tmp_path / "store")
    time.sleep(1)  # for its workers to notice
    kept = store.rows()
    done = subprocess.run([*command, "--json"], env=environment(), capture_output=True, text=True, check=True)
    assert complete(tmp_path / "store")
    assert all(row in store.rows() for row in kept)
    assert json.loads(done.stdout)["left"] == 0


def test_two_commands_on_one_store_share_the_work(command, tmp_path):
    both = [
        subprocess.Popen([*command, "--json"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [one.communicate() for one in both]
    assert [one.returncode for one in both] == [0, 0], told
    assert complete(tmp_path / "store")


def test_an_interrupted_one_ends_at_once_and_goes_on(command, tmp_path):
    driver = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    store = Store(tmp_path / "store")
    while not (store.exists() and store.rows()):
        assert driver.poll() is None
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    _, told = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "the same command goes on from there" in told
    assert "Traceback" not in told
    subprocess.run(command, env=environment(), capture_output=True, check=True)
    assert complete(tmp_path / "store")
