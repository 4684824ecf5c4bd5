"""How far trainings are, as their folders show it from outside, and how long the rest will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import TableCorruptError
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.training.donors import FACTS
from flexnas_bench.training.workplace import JOURNAL, MODEL, TaskJournal

#: What a pre-training takes, in tasks; BERT-Tiny's under `cpu-lite`.
_PRETRAINING = 6


def stage(folder: Path, job: Job) -> str:
    """What a training is at, in words."""
    if not (folder / MODEL / FACTS).exists():
        return "pre-training" if job.donor is None else "taking weights"
    try:
        finished = {one["task"] for one in TaskJournal.read(folder / JOURNAL) if "trial" not in one}
    except (OSError, TableCorruptError):
        finished = set()
    return f"{len(finished & set(job.tasks))} of {len(job.tasks)} tasks"


def seconds_left(outcomes: Sequence[Outcome], left: Sequence[Job], workers: int) -> float:
    """Time that the rest takes, by what finished trainings took for their arithmetic; NaN before the first.

    Args:
        outcomes: of what has ended.
        left: jobs at work, of which none is half done, and to come.
        workers: jobs at a time.
    """
    done = [one for one in outcomes if one.ending == Ending.FINISHED and one.seconds > 1]
    work = sum(_work(one.job) for one in done)
    if not work:
        return math.nan
    return sum(one.seconds for one in done) / work * sum(map(_work, left)) / workers


def _work(job: Job) -> float:
    return _flops(job.card) * (len(job.tasks) + (_PRETRAINING if job.donor is None else 0))


@lru_cache(maxsize=4096)
def _flops(card: ModelCard) -> float:
    return float(card.flops())
