"""A user's own results: a folder of append-only Parquet parts that lies over the shipped tables."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from flexnas_bench.errors import ResultConflictError, RunMismatchError, TableCorruptError
from flexnas_bench.results import SCORES, Training, expand_protocols
from flexnas_bench.storage import exclusive, parquet_bytes, read_parquet, write_bytes

MARKER = "store.toml"
_FORMAT = 1
#: What makes two rows the same score of the same training.
KEY = ("hash", "protocol", "init", "replicate", "task", "origin")
Row = dict[str, Any]


class Store:
    """Scores of trainings in a folder, one Parquet part an append.

    Any number of processes may append and read at the same time: a part appears whole or not at all, its name
    carries its SHA-256, and readers take no lock. A score that is told twice counts once. `protocols.toml` and
    `sources.toml` in the folder, written by hand in the form of the shipped ones, describe the names used.

    >>> from tempfile import TemporaryDirectory
    >>> from flexnas_bench import ModelCard, Store, Training, load_benchmark
    >>> tiny = ModelCard.named("bert-tiny")
    >>> with TemporaryDirectory() as folder:
    ...     Store(folder).append([Training(card=tiny, protocol="mine", scores={"rte": 57.4})])
    ...     load_benchmark(store=folder).query(tiny, task="rte", protocol="mine").value
    1
    57.4

    Args:
        folder: where the parts are; made by the first append.
        patience: seconds to wait for another process that is writing.
    """

    def __init__(self, folder: Path | str, patience: float = 30.0) -> None:
        self.folder = Path(folder)
        self._patience = patience
        self._parts: dict[str, list[Row]] = {}  # by file name, as read so far

    def append(self, trainings: Iterable[Training]) -> int:
        """Adds scores, all of them or none; returns how many the store did not have yet.

        Raises:
            ResultConflictError: the store, or `trainings` themselves, say something else of one of them.
            BusyError: another process kept writing.
            RunMismatchError: the folder holds something else than a store.
            TableCorruptError: a part of the store is not what was written.
        """
        rows = [row for training in trainings for row in training.rows()]
        with self._writing():
            known = self._scores()
            fresh = _deduplicated(rows, dict(known))
            if fresh:
                self._write(fresh, time.time_ns())
        return len(fresh)

    def rows(self) -> list[Row]:
        """All scores, oldest first, as dictionaries with the columns of `SCORES`; each counts once.

        Raises:
            RunMismatchError: there is no store in the folder.
            TableCorruptError: a part is not what was written.
        """
        self.check()
        return list(self._scores().values())

    def compact(self) -> int:
        """Merges all parts into one, and clears away what killed writers left; returns how many there were.

        Readers and writers may go on meanwhile. Raises as `append` does.
        """
        self.check()
        with self._writing():
            merged = list(self._scores().values())
            old = self.part_names()
            if len(old) > 1:
                kept = self._write(merged, int(old[-1].partition("-")[0]))
                for name in old:
                    if name != kept:
                        (self.folder / name).unlink()
            for leftover in self.folder.glob(".*.parquet.*"):
                leftover.unlink()
        return len(old)

    def described(self, name: str) -> dict[str, dict[str, Any]]:
        """What `protocols.toml` or `sources.toml` of the folder says, `{}` where there is none."""
        path = self.folder / name
        try:
            facts = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TableCorruptError(f"cannot read {path}: {error}") from None
        if not all(isinstance(entry, dict) for entry in facts.values()):
            raise TableCorruptError(f"{path}: every entry must be a table, as in [my-name]")
        return expand_protocols(facts)

    def _scores(self) -> dict[tuple[Any, ...], Row]:
        """Rows by key; where processes told different values at once, the first one stands."""
        scores: dict[tuple[Any, ...], Row] = {}
        for row in self._read():
            scores.setdefault(_key(row), row)
        return scores

    def _read(self) -> Iterator[Row]:
        while True:  # until no part is merged away between listing and reading
            names = self.part_names()
            try:
                self._parts = {name: self._parts.get(name) or self.read_part(name) for name in names}
            except FileNotFoundError:
                continue
            return (row for name in names for row in self._parts[name])

    def part_names(self) -> list[str]:
        """File names of the parts, oldest first."""
        return sorted(path.name for path in self.folder.glob("[0-9]" * 20 + "-*.parquet"))

    def read_part(self, name: str) -> list[Row]:
        """The rows of a part; raises `TableCorruptError` where it is not what was written."""
        content = (self.folder / name).read_bytes()
        if sha256(content).hexdigest()[:16] != Path(name).stem.partition("-")[2]:
            raise TableCorruptError(f"{self.folder / name} is not what was written: its checksum differs")
        rows: list[Row] = read_parquet(self.folder / name, SCORES, content).to_pylist()
        return rows

    def _write(self, rows: Sequence[Row], moment: int) -> str:
        content = parquet_bytes(pa.Table.from_pylist(list(rows), schema=SCORES))
        name = f"{moment:020d}-{sha256(content).hexdigest()[:16]}.parquet"
        write_bytes(self.folder / name, content)
        return name

    @contextmanager
    def _writing(self) -> Iterator[None]:
        # Looked through before the marker is looked for: whatever else a store has, its marker was there first.
        occupied = self.folder.exists() and (not self.folder.is_dir() or any(self._visible()))
        if occupied and not self._is_store():
            raise RunMismatchError(f"{self.folder} holds something else than a store; name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / ".store.lock", self._patience):
            if not self._is_store():
                write_bytes(self.folder / MARKER, f"format = {_FORMAT}\n".encode())
            self.check()
            yield

    def _visible(self) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if not path.name.startswith("."))

    def _is_store(self) -> bool:
        return (self.folder / MARKER).exists()

    def check(self) -> None:
        """Raises `RunMismatchError` where there is no store, `TableCorruptError` for one of another version."""
        try:
            facts = tomllib.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunMismatchError(f"there is no store at {self.folder}") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TableCorruptError(f"cannot read {self.folder / MARKER}: {error}") from None
        if facts.get("format") != _FORMAT:
            raise TableCorruptError(
                f"{self.folder / MARKER}: format {facts.get('format')!r}, this version reads {_FORMAT}"
            )


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


def _deduplicated(rows: Iterable[Row], known: dict[tuple[Any, ...], Row]) -> list[Row]:
    """Rows that are new; `known` takes them in. Raises `ResultConflictError` for one that contradicts another."""
    fresh = []
    for row in rows:
        there = known.setdefault(_key(row), row)
        if there is row:
            fresh.append(row)
            continue
        for name in row:
            if repr(there[name]) != repr(row[name]):  # as text, so that NaN equals NaN
                raise ResultConflictError(
                    f"card {row['hash'][:12]}... already has a {row['task']} score as {row['origin']} replicate "
                    f"{row['replicate']} of protocol {row['protocol']}, init {row['init']:.12}, whose {name} is "
                    f"{there[name]!r:.80}, not {row[name]!r:.80}; another training needs another replicate number"
                )
    return fresh
