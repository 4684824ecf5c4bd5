"""A search's journal: one JSON line an evaluation."""

from __future__ import annotations

import math
from pathlib import Path
from types import UnionType
from typing import Any

from flexnas_bench.journal import Journal

_NUMBER = int | float
_FIELDS: dict[str, type | UnionType] = {
    "step": int,  # in the order of asking
    "level": int,
    "card_hash": str,
    "card": dict,
    "value": _NUMBER | None,  # null for a failed evaluation
    "cost_seconds": _NUMBER | None,  # null where it is not known
    "finished_at": _NUMBER | None,
    "transferred": bool,
    "ask_seconds": _NUMBER,
    "origin": str,
}


class SearchJournal(Journal):
    """The evaluations of one search, in order."""

    kind = "that step of a search"

    @classmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:
        """Whether this is the evaluation of step `number`."""
        whole = all(name in record and isinstance(record[name], kind) for name, kind in _FIELDS.items())
        return whole and record["step"] == number


def journal_path(out: Path, seed: int) -> Path:
    """Where the folder of a search keeps the journal of a seed."""
    return out / f"seed-{seed:04d}.jsonl"


def journals(out: Path) -> dict[int, Path]:
    """All journals of a folder by seed, in order."""
    numbers = {path.stem.removeprefix("seed-"): path for path in out.glob("seed-*.jsonl")}
    return dict(sorted((int(number), path) for number, path in numbers.items() if number.isdecimal()))


def count_records(path: Path) -> int:
    """Number of finished records of a journal, 0 if there is none; may be called while it is written."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def or_null(number: float) -> float | None:
    """A number as JSON can have it: null for NaN."""
    return None if math.isnan(number) else number


def or_nan(written: float | None) -> float:
    """The number that `or_null` wrote."""
    return math.nan if written is None else float(written)
