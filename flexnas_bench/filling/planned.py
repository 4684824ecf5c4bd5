"""Jobs of a plan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from flexnas_bench.card import ModelCard
from flexnas_bench.filling.job import Job, Outcome
from flexnas_bench.filling.plan import Planner
from flexnas_bench.filling.source import Source


class Planned(Source):
    """Missing trainings of a list of cards, all cards of a replicate before the next.

    One that starts from another's weights waits until that one has ended. If it has none to give then (it was given
    up, diverged, or has scores but no folder here), those that waited for it are planned anew.

    Args:
        planner: says what is missing.
        cards: to have scores.
        replicates: numbers of trainings of each card.
        limit: number of jobs, the first of the plan.
    """

    def __init__(
        self, planner: Planner, cards: Sequence[ModelCard], replicates: Iterable[int], limit: float = math.inf
    ) -> None:
        self._planner = planner
        jobs = [job for replicate in replicates for job in planner.jobs(cards, replicate)]
        self._left = jobs[: int(min(limit, len(jobs)))]
        self._open = _from_scratch(self._left)

    def next(self) -> Job | None:
        """The first whose donor, if it has one, is not to be trained any more."""
        while job := next((job for job in self._left if (job.donor, job.replicate) not in self._open), None):
            if job.donor is None or self._planner.has_weights(job.donor, job.replicate):
                self._left.remove(job)
                return self._planner.as_begun(job)
            self._plan_again(job.donor, job.replicate)
        return None

    def _plan_again(self, donor: ModelCard, replicate: int) -> None:
        waited = [job for job in self._left if (job.donor, job.replicate) == (donor, replicate)]
        new = self._planner.jobs([job.card for job in waited], replicate)
        self._open |= _from_scratch(new)
        self._left = new + [job for job in self._left if job not in waited]

    def ended(self, outcome: Outcome) -> None:
        """Lets those go ahead that waited for it."""
        if outcome.job.donor is None:
            self._open.discard((outcome.job.card, outcome.job.replicate))

    @property
    def more(self) -> bool:
        """Whether any is left."""
        return bool(self._left)

    @property
    def left(self) -> Sequence[Job]:
        """What was not handed out."""
        return self._left


def _from_scratch(jobs: Iterable[Job]) -> set[tuple[ModelCard | None, int]]:
    """Those that others may wait for."""
    return {(job.card, job.replicate) for job in jobs if job.donor is None}
