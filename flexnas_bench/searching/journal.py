"""A search's journal: one JSON line an evaluation, on disk before the next one begins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from flexnas_bench.errors import RunMismatchError, TableCorruptError


class Journal:
    """Append-only records of one search, for one process at a time; use as a context manager.

    Opening takes the lock, reads what is there into `records` and drops a last line that a killed process left
    half written.

    Args:
        path: the file; made with its folder if missing.
        patience: seconds to wait for another process to finish with it.

    Raises:
        RunMismatchError: another process holds the journal.
        TableCorruptError: a line other than an unfinished last one is no record.
    """

    def __init__(self, path: Path, patience: float = 10.0) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=patience)

    def __enter__(self) -> Journal:
        try:
            self._lock.acquire()
        except Timeout:
            raise RunMismatchError(f"another process is writing to {self.path}") from None
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            self.records = _parse(whole, self.path)
            self._file = self.path.open("ab")
            self._file.truncate(len(whole))
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._lock.release()

    def append(self, record: dict[str, Any]) -> None:
        """Writes one record through to the disk."""
        self._file.write(json.dumps(record).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records.append(record)


def journal_path(out: Path, seed: int) -> Path:
    """Where the folder of a search keeps the journal of a seed."""
    return out / f"seed-{seed:04d}.jsonl"


def count_records(path: Path) -> int:
    """Number of finished records of a journal, 0 if there is none; may be called while it is written."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _parse(content: bytes, path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise TableCorruptError(f"{path}, line {number}: not a record")
        records.append(record)
    return records
