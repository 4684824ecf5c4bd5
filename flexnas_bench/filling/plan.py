"""What is missing in a table, in which order, and who gives weights to whom (section 3.3.3).

The plan depends on the list of cards and on scores, not on who is finished first: each card's donor is settled
beforehand. So two machines plan the same.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from heapq import heapify, heappop, heappush

from flexnas_bench.card import ModelCard
from flexnas_bench.filling.job import Job
from flexnas_bench.layer import EncoderLayer

Beginning = tuple[EncoderLayer, ...]
#: Tasks of a card and a replicate that have scores, from scratch only if so asked.
Scored = Callable[[ModelCard, int, bool], Container[str]]


def plan(
    cards: Iterable[ModelCard], tasks: Sequence[str], replicates: Sequence[int], known: Scored, overlap: float | None
) -> list[Job]:
    """Trainings that are missing, best first.

    From scratch they come in the order given, all cards of a replicate before the next. With transfers a card that
    serves others is trained before these, and the donors are as few as a greedy cover finds; of two the one with more
    layers, then the one named first.

    Args:
        cards: to have scores.
        tasks: of GLUE.
        replicates: numbers of trainings of each card.
        known: tells which tasks of a card and a replicate have scores, from scratch only or of any init.
        overlap: fraction of its layers that a card must share with its donor; None for no transfers.
    """
    cards = list(dict.fromkeys(cards))
    donors = dict.fromkeys(cards) if overlap is None else choose_donors(cards, overlap)
    jobs = []
    for replicate in replicates:
        for card, donor in donors.items():
            there = known(card, replicate, overlap is None)
            if missing := tuple(task for task in tasks if task not in there):
                jobs.append(Job(card, missing, replicate, donor))
    return jobs


def choose_donors(cards: Sequence[ModelCard], overlap: float) -> dict[ModelCard, ModelCard | None]:
    """The donor of each card, None for those that are trained from scratch, each followed by those that it serves.

    Of the cards trained from scratch, the one with the most layers in common serves, and of several the first.

    Args:
        cards: different ones.
        overlap: smallest fraction of its layers that a card must share with its donor, above 0.
    """
    scratch = _cover(cards, overlap)
    serving: dict[Beginning, ModelCard] = {}
    for donor in scratch:
        for beginning in _beginnings(donor):
            serving.setdefault(beginning, donor)
    served = defaultdict[ModelCard, list[ModelCard]](list)
    for card in cards:
        if card not in scratch:
            lengths = range(card.num_layers, _needed(card, overlap) - 1, -1)
            served[next(serving[card.layers[:n]] for n in lengths if card.layers[:n] in serving)].append(card)
    return {card: donor for one in scratch for card, donor in ((one, None), *((other, one) for other in served[one]))}


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
