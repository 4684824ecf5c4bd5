"""Journals: one JSON line a finding, on disk before the next one begins."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flexnas_bench.errors import TableCorruptError
from flexnas_bench.storage import exclusive


class Journal(ABC):
    """Append-only records, for one process at a time; use as a context manager.

    Opening takes the lock, reads what is there into `records` and drops a last line that a killed process left
    half written. Subclasses say what a record is, and of what `kind`.

    Args:
        path: the file; made with its folder if missing.
        patience: seconds to wait for another process to finish with it.

    Raises:
        BusyError: another process holds the journal.
        TableCorruptError: a line other than an unfinished last one is no record.
    """

    kind: str

    def __init__(self, path: Path, patience: float = 2.0) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._patience = patience
        self._held = ExitStack()

    @classmethod
    @abstractmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:
        """Whether this can be line `number`, counted from 1."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(exclusive(self.path.with_name(f".{self.path.name}.lock"), self._patience))
            self.path.touch()
            self.records = self.read(self.path)
            self._file = stack.enter_context(self.path.open("ab"))
            self._file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def append(self, *records: dict[str, Any]) -> None:
        """Writes records through to the disk."""
        try:
            self._file.write(b"".join(json.dumps(record).encode() + b"\n" for record in records))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.records += records

    @classmethod
    def read(cls, path: Path) -> list[dict[str, Any]]:
        """Finished records of a journal that may still be written; raises `TableCorruptError` as opening it does."""
        content = path.read_bytes()
        records = []
        for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict) or not cls.is_record(record, number):
                raise TableCorruptError(f"{path}, line {number}: not the record of {cls.kind}")
            records.append(record)
        return records
