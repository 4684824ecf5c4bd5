"""A search's journal: one JSON line an evaluation, on disk before the next one begins."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType, UnionType
from typing import Any

from flexnas_bench.errors import TableCorruptError
from flexnas_bench.storage import exclusive

_NUMBER = int | float
_FIELDS: dict[str, type | UnionType] = {
    "step": int,
    "index": int,
    "card_hash": str,
    "value": _NUMBER | None,  # null for a failed evaluation
    "cost_seconds": _NUMBER | None,  # null where it is not known
    "ask_seconds": _NUMBER,
    "origin": str,
}


class Journal:
    """Append-only records of one search, for one process at a time; use as a context manager.

    Opening takes the lock, reads what is there into `records` and drops a last line that a killed process left
    half written.

    Args:
        path: the file; made with its folder if missing.
        patience: seconds to wait for another process to finish with it.

    Raises:
        BusyError: another process holds the journal.
        TableCorruptError: a line other than an unfinished last one is no record.
    """

    def __init__(self, path: Path, patience: float = 2.0) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._patience = patience
        self._held = ExitStack()

    def __enter__(self) -> Journal:
        with ExitStack() as stack:
            stack.enter_context(exclusive(self.path.with_name(f".{self.path.name}.lock"), self._patience))
            self.path.touch()
            self.records = read_records(self.path)
            self._file = stack.enter_context(self.path.open("ab"))
            self._file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
            self._held = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def append(self, record: dict[str, Any]) -> None:
        """Writes one record through to the disk."""
        try:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self.records.append(record)


def journal_path(out: Path, seed: int) -> Path:
    """Where the folder of a search keeps the journal of a seed."""
    return out / f"seed-{seed:04d}.jsonl"


def journals(out: Path) -> dict[int, Path]:
    """All journals of a folder by seed, in order."""
    return dict(sorted((int(path.stem.removeprefix("seed-")), path) for path in out.glob("seed-*.jsonl")))


def read_records(path: Path) -> list[dict[str, Any]]:
    """Finished records of a journal that may still be written; raises `TableCorruptError` as opening it does."""
    content = path.read_bytes()
    return _parse(content[: content.rfind(b"\n") + 1], path)


def count_records(path: Path) -> int:
    """Number of finished records of a journal, 0 if there is none; may be called while it is written."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _is_record(record: object) -> bool:
    return isinstance(record, dict) and all(
        name in record and isinstance(record[name], kind) for name, kind in _FIELDS.items()
    )


def _parse(content: bytes, path: Path) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not _is_record(record) or record["step"] != number:
            raise TableCorruptError(f"{path}, line {number}: not the record of step {number} of a search")
        records.append(record)
    return records
