"""A user's own results: a folder of append-only Parquet parts that lies over the shipped tables."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from flexnas_bench.errors import OptionError, ResultConflictError, RunMismatchError, TableCorruptError, shown
from flexnas_bench.protocols import PROTOCOLS, READERS
from flexnas_bench.records import Training
from flexnas_bench.results import SCORES
from flexnas_bench.storage import (
    exclusive,
    parquet_bytes,
    read_parquet,
    read_shipped_toml,
    read_toml,
    write_bytes,
)

MARKER = "store.toml"
_FORMAT = 2
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
        self._read: set[str] = set()  # names of the parts that are in `_scores`
        self._scores: dict[tuple[Any, ...], Row] = {}

    def append(self, trainings: Training | Iterable[Training]) -> int:
        """Adds scores, all of them or none; returns how many the store did not have yet.

        Raises:
            ResultConflictError: the store, or `trainings` themselves, say something else of one of them.
            BusyError: another process kept writing.
            RunMismatchError: the folder holds something else than a store.
            TableCorruptError: a part of the store is not what was written.
        """
        trainings = [trainings] if isinstance(trainings, Training) else list(trainings)
        if wrong := [training for training in trainings if not isinstance(training, Training)]:
            raise OptionError(f"trainings: {shown(wrong[0])} is no Training")
        rows = [row for training in trainings for row in training.rows()]
        with self._writing():
            fresh = self._fresh(rows)
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
        self._refresh()
        return list(self._scores.values())

    def compact(self) -> int:
        """Merges all parts into one, and clears away what killed writers left; returns how many there were.

        Readers and writers may go on meanwhile. Raises as `append` does.
        """
        self.check()
        with self._writing():
            self._refresh()
            old = self.part_names()
            if len(old) > 1:
                kept = self._write(list(self._scores.values()), int(old[-1].partition("-")[0]))
                for name in old:
                    if name != kept:
                        (self.folder / name).unlink()
            for leftover in self.folder.glob(".*.parquet.*"):
                leftover.unlink()
        return len(old)

    def described(self, name: str) -> dict[str, dict[str, Any]]:
        """What `protocols.toml` or `sources.toml` of the folder says, `{}` where there is none.

        Raises:
            TableCorruptError: the file cannot be read, or an entry makes no sense.
        """
        path = self.folder / name
        if not path.exists():
            return {}
        try:
            return READERS[name](read_toml(path))
        except OptionError as error:
            raise TableCorruptError(f"{path}: {error}") from None

    def describe(self, protocol: str, facts: Mapping[str, Any], protocol_hash: str) -> None:
        """Says what a protocol is, for those who read the store; nothing is written of a shipped one.

        Raises:
            ResultConflictError: the store describes it otherwise, or has scores of other settings under its name.
        """
        with self._writing():
            self._refresh()
            hashes = {row["protocol_hash"] for row in self._scores.values() if row["protocol"] == protocol}
            if hashes - {protocol_hash}:
                raise ResultConflictError(
                    f"{self.folder} has scores of protocol {protocol} under other settings; give these another name"
                )
            if protocol in read_shipped_toml(PROTOCOLS):
                return
            there, path = self.described(PROTOCOLS), self.folder / PROTOCOLS
            if there.get(protocol, facts) != facts:
                raise ResultConflictError(f"{path} describes {protocol} otherwise; give it another name")
            if protocol not in there:
                import tomli_w  # which reading does not need

                before = path.read_bytes() + b"\n" if path.exists() else b""
                write_bytes(path, before + tomli_w.dumps({protocol: facts}).encode())

    def _refresh(self) -> None:
        """Takes in the parts that are new; of two rows with one key the older one stands."""
        names: list[str] = []
        while names != (names := self.part_names()):  # until none was merged away between listing and reading
            try:
                for name in names:
                    if name not in self._read:
                        for row in self.read_part(name):
                            self._scores.setdefault(_key(row), row)
                        self._read.add(name)
            except FileNotFoundError:
                names = []

    def part_names(self) -> list[str]:
        """File names of the parts, oldest first."""
        return sorted(path.name for path in self.folder.glob("[0-9]" * 20 + "-*.parquet"))

    def read_part(self, name: str) -> list[Row]:
        """The rows of a part; raises `TableCorruptError` where it is not what was written."""
        content = (self.folder / name).read_bytes()
        if sha256(content).hexdigest()[:16] != Path(name).stem.partition("-")[2]:
            raise TableCorruptError(f"{self.folder / name} is not what was written; its rows are lost, so move it away")
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
        if occupied and not self.exists():
            raise RunMismatchError(f"{self.folder} holds something else than a store; name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / ".store.lock", self._patience):
            if not self.exists():
                write_bytes(self.folder / MARKER, f"format = {_FORMAT}\n".encode())
            self.check()
            yield

    def _visible(self) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if not path.name.startswith("."))

    def exists(self) -> bool:
        """Whether there is a store in the folder."""
        return (self.folder / MARKER).exists()

    def check(self) -> None:
        """Raises `RunMismatchError` where there is no store, `TableCorruptError` for one of another version."""
        if not self.exists():
            raise RunMismatchError(f"there is no store at {self.folder}")
        found = read_toml(self.folder / MARKER).get("format")
        if found != _FORMAT:
            raise TableCorruptError(f"{self.folder / MARKER}: format {shown(found)}, this version reads {_FORMAT}")

    def _fresh(self, rows: Iterable[Row]) -> list[Row]:
        """Rows that are new, each once; raises `ResultConflictError` for one that contradicts another."""
        self._refresh()
        fresh: dict[tuple[Any, ...], Row] = {}
        for row in rows:
            there = self._scores.get(_key(row)) or fresh.setdefault(_key(row), row)
            for name in row:
                if repr(there[name]) != repr(row[name]):  # as text, so that NaN equals NaN
                    raise ResultConflictError(
                        f"card {row['hash'][:12]}... already has a {row['task']} score as {row['origin']} replicate "
                        f"{row['replicate']} of protocol {row['protocol']}, init {row['init']:.12}, whose {name} is "
                        f"{shown(there[name])}, not {shown(row[name])}; another training needs another replicate number"
                    )
        return list(fresh.values())


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)
