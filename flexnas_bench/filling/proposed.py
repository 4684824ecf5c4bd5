"""Jobs of an optimizer, which is told what came of the ones before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidCardError
from flexnas_bench.filling.job import Job, Outcome
from flexnas_bench.filling.known import Known
from flexnas_bench.filling.plan import Planner
from flexnas_bench.filling.source import Source
from flexnas_bench.journal import Journal
from flexnas_bench.optimizers.base import Optimizer


class Proposals(Journal):
    """Cards that an optimizer has asked for, in that order, over all calls of one search."""

    kind = "a proposal"

    @classmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:  # noqa: ARG003 - of all journals
        """Whether this has a card."""
        try:
            ModelCard.from_dict(record["card"])
        except (KeyError, InvalidCardError):
            return False
        return True

    @property
    def cards(self) -> list[ModelCard]:
        """All of them."""
        return [ModelCard.from_dict(record["card"]) for record in self.records]


class Proposed(Source):
    """Cards that an optimizer asks for, whenever there is room, until so many are asked for.

    It is told all scores that are known at the start, whoever asked for them. What it asked for in earlier calls counts
    towards the limit, and comes first where it was not finished.

    Args:
        optimizer: who has been told nothing yet.
        limit: number of proposals, those of earlier calls among them.
        planner: says which training a proposal needs; the score is the mean over its tasks.
        known: scores that are there.
        proposals: the journal, open.
        replicate: of the trainings.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        limit: float,
        planner: Planner,
        known: Known,
        proposals: Proposals,
        replicate: int = 0,
    ) -> None:
        self._optimizer, self._limit, self._planner, self._known = optimizer, limit, planner, known
        self._proposals, self._replicate = proposals, replicate
        for card in known.cards(replicate):
            if card in optimizer.space and (scores := planner.complete(card, replicate)) is not None:
                self._tell(card, scores)
        asked = [card for card in proposals.cards if card in optimizer.space]
        self._unfinished = planner.jobs(asked[: int(min(limit, len(asked)))], replicate)
        optimizer.mark_pending([card for card in asked if planner.complete(card, replicate) is None])

    def next(self) -> Job | None:
        """What was left unfinished, then what the optimizer asks for."""
        if self._unfinished:
            return self._unfinished.pop(0)
        if not self.more:
            return None
        (card,) = self._optimizer.ask()
        self._proposals.append({"card": card.to_dict()})
        (job,) = self._planner.jobs([card], self._replicate)  # it is missing: what is complete was told
        return job

    def ended(self, outcome: Outcome) -> None:
        """Tells the optimizer the score, NaN for one that has failed for good."""
        job = outcome.job
        there = self._known.scores(job.card, self._replicate).get(outcome.init, {})
        self._tell(job.card, {**there, **outcome.scores})

    def _tell(self, card: ModelCard, scores: Mapping[str, float]) -> None:
        self._optimizer.tell([card], [fmean(scores.get(task, math.nan) for task in self._planner.tasks)])

    @property
    def more(self) -> bool:
        """Whether the limit and the space leave anything to ask for."""
        unseen = len(self._optimizer.seen) < self._optimizer.space.size
        return bool(self._unfinished) or (unseen and len(self._proposals.records) < self._limit)

    @property
    def left(self) -> Sequence[Job]:
        """What is left of earlier calls."""
        return self._unfinished
