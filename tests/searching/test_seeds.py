"""Many seeds in processes: the same as one by one, also after kill -9."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from flexnas_bench import NotMeasuredError, OptionError, WorkerDiedError, search
from flexnas_bench.cli.app import run_app
from flexnas_bench.searching.journal import count_records, journal_path
from flexnas_bench.searching.runs import RUNS_FILE, read_runs
from flexnas_bench.searching.seeds import search_seeds


def repeatable(frame):
    return frame.drop(columns="ask_seconds").reset_index(drop=True)


@pytest.fixture(scope="module")
def here(bench):
    """Two seeds in this process."""
    return pd.concat([search(bench, "boshnas", budget=12, seed=seed, k1=0.2).frame for seed in range(2)])


def test_the_result_does_not_depend_on_the_number_of_processes(here, tmp_path):
    arguments = {"optimizer": "boshnas", "k1": 0.2, "budget": 12}
    heard = []
    runs = search_seeds(arguments, range(2), tmp_path / "two", jobs=2, progress=heard.append)
    search_seeds(arguments, range(2), tmp_path / "one", jobs=1)
    two, one = (read_runs(tmp_path / name / RUNS_FILE) for name in ("two", "one"))
    pd.testing.assert_frame_equal(repeatable(two), repeatable(one))
    pd.testing.assert_frame_equal(repeatable(two), repeatable(here))
    assert [run.rows[0]["seed"] for run in runs] == [0, 1]
    assert heard[-1] == 24
    assert heard == sorted(heard)


def test_more_seeds_and_a_larger_budget_build_on_what_is_there(tmp_path):
    arguments = {"optimizer": "random"}
    search_seeds(arguments | {"budget": 5}, [0], tmp_path / "run")
    before = journal_path(tmp_path / "run", 0).read_bytes()
    search_seeds(arguments | {"budget": 8}, [0, 1], tmp_path / "run")
    assert journal_path(tmp_path / "run", 0).read_bytes().startswith(before)
    assert len(read_runs(tmp_path / "run" / RUNS_FILE)) == 16


def test_errors_of_a_worker_arrive(tmp_path):
    with pytest.raises(NotMeasuredError):
        search_seeds({"optimizer": "random", "space": "g1", "kind": "table"}, range(2), tmp_path / "run", jobs=2)
    with pytest.raises(OptionError):
        search_seeds({"optimizer": "random"}, [], tmp_path / "run")
    with pytest.raises(OptionError):
        search_seeds({"optimizer": "random"}, [1], tmp_path / "run", jobs=0)


def test_a_worker_that_is_killed_is_one_clear_error(tmp_path):
    def kill(done):
        if done > 11:
            victim = next(child for child in multiprocessing.active_children() if child is not bystander)
            os.kill(victim.pid, signal.SIGKILL)

    bystander = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    bystander.start()
    try:
        with pytest.raises(WorkerDiedError, match="run again"):
            search_seeds({"optimizer": "boshnas", "budget": 30}, [0, 1], tmp_path / "run", jobs=2, progress=kill)
        assert bystander.is_alive()  # only our own workers are ended
    finally:
        bystander.kill()
        bystander.join()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_killed_search_resumes_to_the_same_runs(here, tmp_path, how):
    out = tmp_path / "killed"
    words = ["run", "--budget", "12", "--option", "k1=0.2", "--seeds", "2", "--jobs", "2", "--out", str(out)]
    journals = [journal_path(out, seed) for seed in range(2)]
    command = [sys.executable, "-m", "flexnas_bench", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while sum(map(count_records, journals)) < 21 and process.poll() is None:
        time.sleep(0.01)
    if how == signal.SIGINT:  # as a terminal sends it: to all processes at once
        os.killpg(process.pid, how)
    else:
        os.kill(process.pid, how)
    error = process.communicate(timeout=60)[1]
    code = process.returncode
    if how == signal.SIGINT:
        assert code == 130
        assert "goes on from there" in error
    assert "Traceback" not in error
    assert not (out / RUNS_FILE).exists()
    done = sum(map(count_records, journals))
    time.sleep(2)
    assert sum(map(count_records, journals)) <= done + 2  # nobody is left who would go on writing
    assert run_app(words) == 0
    pd.testing.assert_frame_equal(repeatable(read_runs(out / RUNS_FILE)), repeatable(here))
