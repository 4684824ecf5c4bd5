"""Killed, full, read-only: nothing finished is lost, nothing half written is read, and the command can be run again."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flexnas_bench import ModelCard, Store, Training, storage
from flexnas_bench.cli.app import run_app
from flexnas_bench.distance.matched import SolvedJournal
from flexnas_bench.searching.journal import SearchJournal, journals
from flexnas_bench.searching.runs import RUNS_FILE, read_runs
from tests.processes import Command

PROGRAM = [sys.executable, "-m", "flexnas_bench"]
RUN = [*PROGRAM, "run", "--optimizer", "random", "--budget", "300", "--seeds", "2", "--jobs", "2", "--out"]


def repeatable(path):
    return read_runs(path).drop(columns="ask_seconds")


def kill_after(command, seconds):
    """Starts a command and kills it, and all that it started, after some time."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in process.communicate()[1].decode()


def seconds_of(command):
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def check_killed_runs(folder, times, seed):
    """Kills runs at random moments; each resumes to the run that was never interrupted."""
    rng = np.random.default_rng(seed)
    duration = seconds_of([*RUN, str(folder / "whole")])
    whole = repeatable(folder / "whole" / RUNS_FILE)
    for i in range(times):
        out = folder / str(i)
        kill_after([*RUN, str(out)], rng.uniform(0, duration))
        before = {number: SearchJournal.read(path) for number, path in journals(out).items()}
        if (out / RUNS_FILE).exists():
            pd.testing.assert_frame_equal(repeatable(out / RUNS_FILE), whole)
        subprocess.run([*RUN, str(out)], check=True, stdout=subprocess.DEVNULL)
        for number, records in before.items():
            assert SearchJournal.read(journals(out)[number])[: len(records)] == records
        pd.testing.assert_frame_equal(repeatable(out / RUNS_FILE), whole)


def check_killed_imports(published, folder, times, seed):
    """Kills imports at random moments; every table that is there is whole, and the next import makes the rest."""
    rng = np.random.default_rng(seed)
    command = [*PROGRAM, "import", "published", str(published), "--out"]
    duration = seconds_of([*command, str(folder / "whole")])
    whole = contents(folder / "whole")
    for i in range(times):
        out = folder / str(i)
        kill_after([*command, str(out)], rng.uniform(duration / 2, duration))  # the first half reads and computes
        assert contents(out).items() <= whole.items()
        subprocess.run([*command, str(out)], check=True, stdout=subprocess.DEVNULL)
        assert contents(out) == whole


SPACE = """
name = "small"
layers = [2]
layers_per_stack = 2
hidden = [128]
heads = [2, 4]
feed_forward = [512]
feed_forward_stacks = [1, 3]
[operations]
SA = ["SDP"]
LT = ["DFT", "DCT"]
"""


def check_killed_solving(folder, times, seed, monkeypatch):
    """Kills the solving of problems at random moments; the next call takes over what was solved and ends the same."""
    (folder / "small.toml").write_text(SPACE)
    command = [*PROGRAM, "ged", "--space", str(folder / "small.toml"), "--jobs", "2", "--solve-table"]
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(folder / "whole-cache"))
    duration = seconds_of([*command, str(folder / "whole.parquet")])
    rng = np.random.default_rng(seed)
    for i in range(times):
        monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(folder / f"cache-{i}"))
        table = folder / f"{i}.parquet"
        kill_after([*command, str(table)], rng.uniform(duration / 3, duration))  # before that it starts
        kept = [SolvedJournal.read(path) for path in folder.glob(f"cache-{i}/ged/anew-*.jsonl")]
        assert not kept or not table.exists()
        subprocess.run([*command, str(table)], check=True, stdout=subprocess.DEVNULL)
        assert table.read_bytes() == (folder / "whole.parquet").read_bytes()
        assert not list(folder.glob(f"cache-{i}/ged/anew-*.jsonl"))


def contents(folder):
    """Finished files of a folder; those that begin with a dot are nobody's."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.mark.slow
def test_solving_killed_at_twenty_random_moments(tmp_path, monkeypatch):
    check_killed_solving(tmp_path, 20, 1, monkeypatch)


@pytest.mark.slow
def test_runs_killed_at_fifty_random_moments(tmp_path):
    check_killed_runs(tmp_path, 50, seed=1)


@pytest.mark.slow
def test_imports_killed_at_fifty_random_moments(published, tmp_path):
    check_killed_imports(published, tmp_path, 50, seed=1)


def fill_the_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))  # no file may grow beyond this


@pytest.mark.parametrize(
    "what", [*(pytest.param(one, marks=pytest.mark.slow) for one in ("run", "import")), "graph", "ged"]
)
def test_a_full_disk_is_one_line_and_can_be_gone_on_from(published, tmp_path, monkeypatch, what):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    words = {
        "run": [*RUN[len(PROGRAM) :], str(out)],
        "import": ["import", "published", str(published), "--out", str(out)],
        "graph": ["info", "flexibert-mini", "--graph", str(out / "mini.svg")],
        "ged": ["ged", "--space", "homogeneous"],
    }[what]
    process = Command(words, tmp_path, fill_the_disk)
    process.start()
    process.join()
    assert process.exitcode == 2
    assert "File too large" in process.errors
    assert process.errors.count("\n") == 1
    for path in out.rglob("*.parquet"):
        storage.read_parquet(path)
    assert run_app(words) == 0
    if what == "run":
        subprocess.run([*RUN, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
        pd.testing.assert_frame_equal(repeatable(out / RUNS_FILE), repeatable(tmp_path / "whole" / RUNS_FILE))


@pytest.fixture
def read_only(tmp_path):
    """A folder in which nobody can make a file, not even root."""
    if os.geteuid():
        folder = tmp_path / "read-only"
        folder.mkdir()
        folder.chmod(0o555)
        return folder
    for folder in (Path("/sys"), Path("/proc")):
        try:
            (folder / "flexnas").mkdir()
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EPERM, errno.EACCES):
                return folder
    pytest.skip("root may write everywhere on this machine")


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--optimizer", "random", "--budget", "3", "--out", "{}/run"),
        pytest.param(("import", "published", "{published}", "--out", "{}/data"), marks=pytest.mark.slow),
        ("info", "bert-tiny", "--graph", "{}/tiny.svg"),
    ],
)
def test_a_read_only_folder_is_one_line(published, read_only, capsys, arguments):
    code = run_app([argument.format(read_only, published=published) for argument in arguments])
    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_store_in_a_read_only_folder_is_an_os_error(read_only):
    card = ModelCard.named("bert-tiny")
    with pytest.raises(OSError, match=str(read_only)):
        Store(read_only / "store").append(Training(card=card, protocol="mine", scores={"rte": 60.0}))
