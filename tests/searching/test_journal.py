import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import BusyError, TableCorruptError
from flexnas_bench.searching.journal import SearchJournal, count_records, journal_path, journals


def record(value=70.0, step=1):
    """A record of an evaluation."""
    return {
        "step": step,
        "level": 0,
        "card_hash": "0" * 64,
        "card": {"l": 1},
        "value": value,
        "cost_seconds": 1.5,
        "finished_at": 1.5,
        "transferred": False,
        "ask_seconds": 0,
        "origin": "published",
    }


def write(path, records):
    with SearchJournal(path) as journal:
        for record in records:
            journal.append(record)


def test_records_come_back_and_more_are_added(tmp_path):
    path = tmp_path / "a" / "seed.jsonl"
    write(path, [record(1, 1), record(0.1, 2)])
    write(path, [record(None, 3)])
    with SearchJournal(path) as journal:
        assert journal.records == SearchJournal.read(path) == [record(1, 1), record(0.1, 2), record(None, 3)]
    assert count_records(path) == 3
    assert count_records(tmp_path / "none") == 0


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=4), st.integers(0, 600))
def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path_factory, values, cut):
    path = tmp_path_factory.mktemp("journal") / "seed.jsonl"
    write(path, [record(value, i) for i, value in enumerate(values, 1)])
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    whole = content.count(b"\n")
    with SearchJournal(path) as journal:
        assert journal.records == [record(value, i) for i, value in enumerate(values[:whole], 1)]
        journal.append(record(1.0, whole + 1))
    assert [json.loads(line) for line in path.read_text().splitlines()][-1] == record(1.0, whole + 1)
    assert count_records(path) == whole + 1


@pytest.mark.parametrize(
    "line",
    [
        *("{", "7", '"text"', "\x00", "{}"),
        json.dumps(record("high", 2)),
        json.dumps(record(70.0, 3)),  # a line has been lost
        json.dumps(record(step=2) | {"card": None}),
        json.dumps({key: value for key, value in record(step=2).items() if key != "origin"}),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "seed.jsonl"
    good = json.dumps(record()) + "\n"
    path.write_text(good + line + "\n" + json.dumps(record(step=3)) + "\n")
    with pytest.raises(TableCorruptError, match="line 2"), SearchJournal(path):
        pass
    path.write_text(good)
    with SearchJournal(path) as journal:  # the lock was released
        assert len(journal.records) == 1


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "seed.jsonl"
    program = (
        "import json, sys, pathlib; from flexnas_bench.searching.journal import SearchJournal\n"
        "with SearchJournal(pathlib.Path(sys.argv[1])) as j:\n"
        "    j.append(json.loads(sys.argv[2])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path), json.dumps(record())]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(BusyError, match="another process"), SearchJournal(path, patience=0.1):
            pass
    finally:
        other.kill()
        other.communicate()
    with SearchJournal(path, patience=5) as journal:  # a dead process holds nothing
        assert journal.records == [record()]


def test_a_missing_value_is_told_from_a_failed_one(tmp_path):
    nameless = {key: value for key, value in record().items() if key != "value"}
    (tmp_path / "seed.jsonl").write_text(json.dumps(nameless) + "\n")
    with pytest.raises(TableCorruptError, match="line 1"):
        SearchJournal.read(tmp_path / "seed.jsonl")


def test_journals_are_found_by_seed(tmp_path):
    for seed in (10_000, 3, 0):
        write(journal_path(tmp_path, seed), [record()])
    assert list(journals(tmp_path)) == [0, 3, 10_000]
