"""Where jobs come from: a plan, or an optimizer that is told what came of the ones before."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from flexnas_bench.card import ModelCard
from flexnas_bench.filling.job import Job, Outcome
from flexnas_bench.optimizers.base import Optimizer
from flexnas_bench.results import MEANS


class Source(ABC):
    """Hands out jobs, and is told how they ended."""

    @abstractmethod
    def next(self) -> Job | None:
        """A job that can be started now; None where there is none, or none yet."""

    @abstractmethod
    def ended(self, outcome: Outcome) -> None:
        """Takes note of the end of a job that was handed out; one that did not finish may be handed out again."""

    @property
    @abstractmethod
    def left(self) -> Sequence[Job]:
        """Jobs that are known to be left, without those handed out."""


class Planned(Source):
    """Jobs in the order of a plan; one that has a donor in it waits until that one has ended.

    Args:
        jobs: see `plan`.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._left = list(jobs)
        self._open = {(job.card, job.replicate) for job in jobs if job.donor is None}

    def next(self) -> Job | None:
        """The first whose donor, if it has one, is not to be trained any more."""
        ready = (job for job in self._left if (job.donor, job.replicate) not in self._open)
        if job := next(ready, None):
            self._left.remove(job)
        return job

    def ended(self, outcome: Outcome) -> None:
        """Lets those go ahead that waited for it."""
        if outcome.job.donor is None:
            self._open.discard((outcome.job.card, outcome.job.replicate))

    @property
    def left(self) -> Sequence[Job]:
        """What was not handed out."""
        return self._left


class Proposed(Source):
    """Cards that an optimizer asks for, whenever there is room, until so many are asked for.

    Args:
        optimizer: who has been told all that is known.
        task: task, or mean of tasks, whose score it is told.
        limit: number of cards.
        known: tells the scores by task that a card has.
        unfinished: jobs of an earlier call that come first.
        replicate: of the trainings.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        task: str,
        limit: float,
        known: Callable[[ModelCard], Mapping[str, float]],
        unfinished: Sequence[Job] = (),
        replicate: int = 0,
    ) -> None:
        self._optimizer, self._tasks, self._limit = optimizer, MEANS.get(task, (task,)), limit
        self._known = known
        self._unfinished, self._replicate = list(unfinished), replicate
        self._handed_out = 0
        optimizer.mark_pending([job.card for job in unfinished])

    def next(self) -> Job | None:
        """What was left unfinished, then what the optimizer asks for."""
        if self._handed_out >= self._limit:
            return None
        if self._unfinished:
            job = self._unfinished.pop(0)
        elif len(self._optimizer.seen) < self._optimizer.space.size:
            (card,) = self._optimizer.ask()
            there = self._known(card)
            job = Job(card, tuple(task for task in self._tasks if task not in there), self._replicate)
        else:
            return None
        self._handed_out += 1
        return job

    def ended(self, outcome: Outcome) -> None:
        """Tells the optimizer the score, NaN for one that has failed for good."""
        scores = {**self._known(outcome.job.card), **outcome.scores}
        self._optimizer.tell([outcome.job.card], [fmean(scores.get(task, math.nan) for task in self._tasks)])

    @property
    def left(self) -> Sequence[Job]:
        """What is left of an earlier call, as far as the limit has room for it."""
        return self._unfinished[: int(min(self._limit - self._handed_out, len(self._unfinished)))]
