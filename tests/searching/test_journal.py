import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import RunMismatchError, TableCorruptError
from flexnas_bench.searching.journal import Journal, count_records


def write(path, records):
    with Journal(path) as journal:
        for record in records:
            journal.append(record)


def test_records_come_back_and_more_are_added(tmp_path):
    path = tmp_path / "a" / "seed.jsonl"
    write(path, [{"a": 1}, {"a": 0.1}])
    write(path, [{"a": None}])
    with Journal(path) as journal:
        assert journal.records == [{"a": 1}, {"a": 0.1}, {"a": None}]
    assert count_records(path) == 3
    assert count_records(tmp_path / "none") == 0


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=4), st.integers(0, 200))
def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path_factory, values, cut):
    path = tmp_path_factory.mktemp("journal") / "seed.jsonl"
    write(path, [{"value": value} for value in values])
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    whole = content.count(b"\n")
    with Journal(path) as journal:
        assert journal.records == [{"value": value} for value in values[:whole]]
        journal.append({"value": 1.0})
    assert [json.loads(line) for line in path.read_text().splitlines()][-1] == {"value": 1.0}
    assert count_records(path) == whole + 1


@pytest.mark.parametrize("line", ["{", "7", '"text"', "\x00"])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "seed.jsonl"
    path.write_text('{"a": 1}\n' + line + '\n{"a": 2}\n')
    with pytest.raises(TableCorruptError, match="line 2"), Journal(path):
        pass
    path.write_text('{"a": 1}\n')
    with Journal(path) as journal:  # the lock was released
        assert len(journal.records) == 1


def test_one_process_at_a_time(tmp_path):
    path = tmp_path / "seed.jsonl"
    program = (
        "import sys, pathlib; from flexnas_bench.searching.journal import Journal\n"
        "with Journal(pathlib.Path(sys.argv[1])) as j:\n"
        "    j.append({'a': 1}); print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(RunMismatchError, match="another process"), Journal(path, patience=0.1):
            pass
    finally:
        other.kill()
        other.communicate()
    with Journal(path, patience=5) as journal:  # a dead process holds nothing
        assert journal.records == [{"a": 1}]
