"""Attempts that came to nothing, so that no card is tried for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flexnas_bench.filling.job import Ending, Outcome
from flexnas_bench.journal import Journal

_ENDING = ".failures.jsonl"


class Failures(Journal):
    """Failed attempts at one training, in a file beside its folder."""

    kind = "a failed attempt"

    @classmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:  # noqa: ARG003 - of all journals
        """Whether this says how an attempt ended, and why."""
        return record.get("ending") in set(Ending) and isinstance(record.get("why"), str)


def failures_of(folder: Path) -> list[dict[str, Any]]:
    """Failed attempts at the training of a folder, oldest first."""
    path = folder.with_name(folder.name + _ENDING)
    return Failures.read(path) if path.exists() else []


def add_failure(folder: Path, outcome: Outcome) -> int:
    """Writes down that an attempt has failed; returns how many have by now."""
    with Failures(folder.with_name(folder.name + _ENDING)) as journal:
        journal.append(
            {
                "ending": str(outcome.ending),
                "why": outcome.why,
                "seconds": round(outcome.seconds, 3),
                "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            }
        )
        return len(journal.records)
