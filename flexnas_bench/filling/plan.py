"""What is missing in a table, in which order, and who gives weights to whom (section 3.3.3).

The plan depends on the list of cards, on scores and on weights that are there, not on who is finished first: each
card's donor is settled beforehand. So two machines plan the same.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.overlap import THRESHOLD, overlap_fraction
from flexnas_bench.filling.job import Job
from flexnas_bench.filling.known import Known, Trainings
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.results import SCRATCH

Beginning = tuple[EncoderLayer, ...]


class Planner:
    """Says which trainings of cards are missing, and where their weights come from.

    Args:
        tasks: of GLUE, to have scores of.
        known: scores that are there.
        trainings: that are there, of which some can give weights.
        overlap: fraction of its layers that a card must share with its donor; None for trainings from scratch only.
    """

    def __init__(
        self, tasks: Sequence[str], known: Known, trainings: Trainings, overlap: float | None = THRESHOLD
    ) -> None:
        self.tasks, self._known, self._trainings, self._overlap = tuple(tasks), known, trainings, overlap

    def jobs(self, cards: Iterable[ModelCard], replicate: int) -> list[Job]:
        """Trainings that are missing, best first.

        From scratch they come in the order given. With transfers a card that serves others is trained before these,
        and the donors are as few as a greedy cover finds; of two the one with more layers, then the one named first.
        A card is complete when one of its trainings has scores of all tasks.
        """
        missing = [card for card in dict.fromkeys(cards) if self.complete(card, replicate) is None]
        jobs = []
        for card, donor in self._donors(missing, replicate).items():
            there = self._known.scores(card, replicate).get(SCRATCH if donor is None else donor.hash, {})
            jobs.append(Job(card, tuple(task for task in self.tasks if task not in there), replicate, donor))
        return jobs

    def complete(self, card: ModelCard, replicate: int) -> Mapping[str, float] | None:
        """Scores of a training that has all tasks, from scratch if there is one; None if none has."""
        of = self._known.trainings(card, replicate)
        usable = [scores for init, scores in of if init == SCRATCH or self._overlap is not None]
        return next((scores for scores in usable if scores.keys() >= set(self.tasks)), None)

    def has_weights(self, card: ModelCard, replicate: int) -> bool:
        """Whether a card can be a donor now."""
        return self._trainings.has_weights(card, replicate)

    def as_begun(self, job: Job) -> Job:
        """A training from a donor's weights as another command may have begun it meanwhile, from another donor."""
        donor = None if job.donor is None else self._begun(job.replicate).get(job.card)
        return job if donor is None else replace(job, donor=donor)

    def _begun(self, replicate: int) -> dict[ModelCard, ModelCard]:
        """Cards that go on with a donor; none whose donor would not do now."""
        begun, enough = self._trainings.begun(replicate), self._overlap or 1.0
        return {card: donor for card, donor in begun.items() if overlap_fraction(card, donor) >= enough - 1e-9}

    def _donors(self, cards: Sequence[ModelCard], replicate: int) -> dict[ModelCard, ModelCard | None]:
        if self._overlap is None:
            return dict.fromkeys(cards)
        begun = self._begun(replicate)
        going_on: dict[ModelCard, ModelCard | None] = {card: begun[card] for card in cards if card in begun}
        others = [card for card in cards if card not in begun]
        return going_on | choose_donors(others, self._overlap, self._trainings.donors(replicate))


def choose_donors(
    cards: Sequence[ModelCard], overlap: float, trained: Collection[ModelCard] = ()
) -> dict[ModelCard, ModelCard | None]:
    """The donor of each card, None for those that are trained from scratch, each followed by those that it serves.

    Of the cards with weights, the one with the most layers in common serves, and of several the first.

    Args:
        cards: different ones.
        overlap: smallest fraction of its layers that a card must share with its donor, above 0.
        trained: cards that have weights already, and are asked before any is trained to give some.
    """
    given = dict.fromkeys(trained)
    serving: dict[Beginning, ModelCard] = {}
    _offer(serving, given)
    alone = [card for card in cards if card not in given and _server(card, serving, overlap) is None]
    scratch = dict.fromkeys(card for card in cards if card in given) | _cover(alone, overlap)
    _offer(serving, scratch)
    served = defaultdict[ModelCard, list[ModelCard]](list)
    for card in cards:
        if card not in scratch and (donor := _server(card, serving, overlap)) is not None:
            served[donor].append(card)
    chosen: dict[ModelCard, ModelCard | None] = {}
    for one in given | scratch:
        chosen |= ({one: None} if one in scratch else {}) | dict.fromkeys(served[one], one)
    return chosen


def _offer(serving: dict[Beginning, ModelCard], donors: Iterable[ModelCard]) -> None:
    """Adds what donors can give to what others can."""
    for donor in donors:
        for beginning in _beginnings(donor):
            serving.setdefault(beginning, donor)


def _server(card: ModelCard, serving: Mapping[Beginning, ModelCard], overlap: float) -> ModelCard | None:
    """The donor with the most layers in common with a card, if any has enough."""
    lengths = range(card.num_layers, _needed(card, overlap) - 1, -1)
    return next((serving[card.layers[:n]] for n in lengths if card.layers[:n] in serving), None)


def _cover(cards: Sequence[ModelCard], overlap: float) -> dict[ModelCard, None]:
    """Cards that together serve all, found greedily: next comes the one that serves the most of those left."""
    waiting: dict[Beginning, set[ModelCard]] = defaultdict(set)
    for card in cards:
        waiting[card.layers[: _needed(card, overlap)]].add(card)
    heap = [(-_served(card, waiting), -card.num_layers, number) for number, card in enumerate(cards)]
    heapify(heap)
    chosen: dict[ModelCard, None] = {}
    while heap:
        before, depth, number = heappop(heap)
        now = -_served(cards[number], waiting)
        if now > before:  # others serve some of these by now: it has to queue again
            heappush(heap, (now, depth, number))
        elif now:
            chosen[cards[number]] = None
            for beginning in _beginnings(cards[number]):
                waiting.pop(beginning, None)
    return chosen


def _served(card: ModelCard, waiting: dict[Beginning, set[ModelCard]]) -> int:
    """How many cards without a donor a card would serve, itself among them."""
    return sum(len(waiting.get(beginning, ())) for beginning in _beginnings(card))


def _beginnings(card: ModelCard) -> Iterable[Beginning]:
    return (card.layers[: n + 1] for n in range(card.num_layers))


def _needed(card: ModelCard, overlap: float) -> int:
    """Number of layers that a donor must have in common with a card."""
    return max(math.ceil(overlap * card.num_layers - 1e-9), 1)
