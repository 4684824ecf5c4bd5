"""Attempts that came to nothing, so that no card is tried for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from flexnas_bench.filling.job import Ending, Outcome
from flexnas_bench.journal import Journal
from flexnas_bench.training.donors import FACTS
from flexnas_bench.training.pretraining import CHECKPOINT
from flexnas_bench.training.workplace import JOURNAL, MODEL

_ENDING = ".failures.jsonl"


class Failures(Journal):
    """Failed attempts at one training, in a file beside its folder."""

    kind = "a failed attempt"

    @classmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:  # noqa: ARG003 - of all journals
        """Whether this says how an attempt ended, why, how far it had come, and whether nothing else was at work."""
        texts = isinstance(record.get("why"), str) and isinstance(record.get("progress"), str)
        return texts and record.get("ending") in set(Ending) and isinstance(record.get("alone"), bool)


def failures_of(folder: Path) -> list[dict[str, Any]]:
    """Failed attempts at the training of a folder since it last came further, oldest first."""
    path = folder.with_name(folder.name + _ENDING)
    found = Failures.read(path) if path.exists() else []
    here = _progress(folder)
    return [one for one in found if one["progress"] == here]


def add_failure(folder: Path, outcome: Outcome, alone: bool) -> None:
    """Writes down that an attempt has failed, and whether nothing else was at work beside it."""
    with Failures(folder.with_name(folder.name + _ENDING)) as journal:
        journal.append(
            {
                "ending": str(outcome.ending),
                "why": outcome.why,
                "alone": alone,
                "progress": _progress(folder),
                "seconds": round(outcome.seconds, 3),
                "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            }
        )


def wants_to_be_alone(failures: list[dict[str, Any]]) -> bool:
    """Whether the last attempt ran out of memory beside others: memory may do for one."""
    return bool(failures) and failures[-1]["ending"] == Ending.MEMORY and not failures[-1]["alone"]


def attempts_of(failures: list[dict[str, Any]]) -> int:
    """How many attempts count; running out of memory beside others is nobody's fault."""
    return sum(one["ending"] != Ending.MEMORY or one["alone"] for one in failures)


def _progress(folder: Path) -> str:
    """What a training has written: its tasks and trials, its weights, the moment of its last checkpoint."""
    journal, checkpoint = folder / JOURNAL, folder / CHECKPOINT
    finished = journal.stat().st_size if journal.exists() else 0
    saved = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    return f"{finished} {(folder / MODEL / FACTS).exists()} {saved}"
