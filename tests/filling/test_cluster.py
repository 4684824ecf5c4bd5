"""A real Ray cluster, machines of which are killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flexnas_bench import Store
from flexnas_bench.cli.app import run_app
from tests.filling.conftest import complete
from tests.processes import Command

ray = pytest.importorskip("ray")
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def cluster():
    script = Path(__file__).with_name("ray_cluster.py")
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        process.address = process.stdout.readline().strip()
        yield process
        process.stdin.close()
        process.wait()


@pytest.fixture
def begin(words, cluster, tmp_path, monkeypatch):
    """Starts a command in a process of its own."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)

    def start(*more):
        process = Command([*words, "--engine", "ray", "--address", cluster.address, "--json", *more], tmp_path)
        process.start()
        return process

    return start


def wait_for_rows(store, process):
    while not (store.exists() and store.rows()):
        assert process.is_alive(), process.errors
        time.sleep(0.1)


def test_a_list_is_finished_while_a_machine_is_lost(begin, cluster, tmp_path):
    process = begin()
    wait_for_rows(Store(tmp_path / "store"), process)
    cluster.stdin.write("lose\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "lost\n"
    process.join(200)
    assert process.exitcode == 0, process.errors
    assert complete(tmp_path / "store")
    facts = json.loads(process.output)
    assert facts["left"] == 0
    assert {one["ending"] for one in facts["trainings"]} == {"finished"}


@pytest.mark.slow
def test_a_killed_driver_and_its_trainings_go_on(begin, tmp_path):
    process = begin()
    wait_for_rows(Store(tmp_path / "store"), process)
    process.kill()
    process.join()
    process = begin()
    process.join(200)
    assert process.exitcode == 0, process.errors
    assert complete(tmp_path / "store")


def test_a_training_that_fits_no_machine_is_refused(begin):
    process = begin("--cpus", "2")
    process.join(120)
    assert (process.exitcode, process.output) == (2, "")
    assert "no machine of the Ray cluster has 2 cores" in process.errors


def test_no_cluster_is_one_line(words, monkeypatch, capsys):
    def refuse(**_):
        raise ConnectionError("could not find any running instance\nand so on")

    monkeypatch.setattr(ray, "init", refuse)
    assert run_app([*words, "--engine", "ray", "--address", "auto"]) == 2
    error = capsys.readouterr().err
    assert "no Ray cluster at auto: could not find any running instance; see `ray start --head`" in error
    assert "and so on" not in error
