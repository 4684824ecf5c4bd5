"""Real trainings in real processes, which tests kill."""

import json
import os
import signal
import subprocess
import time

import pytest

from flexnas_bench import ModelCard, Store
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending, Job
from flexnas_bench.filling.local import LocalEngine
from flexnas_bench.filling.source import Planned
from tests.filling.conftest import CARDS, TASKS, complete


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


@pytest.mark.slow
def test_an_interrupted_one_ends_at_once_and_goes_on(command, tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    driver = subprocess.Popen(command, env=environment(), text=True, start_new_session=True, **pipes)
    store = Store(tmp_path / "store")
    while not (store.exists() and store.rows()):
        assert driver.poll() is None
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    _, told = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "the same command goes on from there" in told
    assert "Traceback" not in told
    subprocess.run(command, env=environment(), capture_output=True, check=True)
    assert complete(tmp_path / "store")
