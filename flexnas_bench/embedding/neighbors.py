"""The neighbours from which a card may inherit weights (section 3.3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, islice
from typing import NamedTuple, TypeVar

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.alignment import layer_distance
from flexnas_bench.distance.blocks import EDGE_COST, numbering
from flexnas_bench.distance.overlap import biased_overlap
from flexnas_bench.embedding.base import MATRIX_LIMIT, Embedding, Vectors
from flexnas_bench.errors import OptionError, shown
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices

_CANDIDATES = 2_000  # of one depth and overlap
T = TypeVar("T")


class Neighbor(NamedTuple):
    """A card, the number of layers it has in common with another one, and the distance of their vectors."""

    card: ModelCard
    overlap: int
    distance: float


def transfer_neighbors(card: ModelCard, embedding: Embedding, k: int = 100) -> list[Neighbor]:
    """The `k` neighbours N_q of a card: by biased overlap, the largest first, and then by distance of vectors.

    In a space of up to 100,000 cards all are compared. In a larger one candidates are generated overlap by overlap,
    until there are k; where more than 2,000 cards of a depth have an overlap, those made of the layers nearest to the
    card's own.

    >>> from flexnas_bench import load_embedding
    >>> [best, *_] = transfer_neighbors(ModelCard.named("bert-mini"), load_embedding("t2v-g1-d16"))
    >>> best.overlap, best.card.num_layers
    (2, 4)

    Args:
        card: the card that wants weights, one that the embedding can describe.
        embedding: vectors, and the space whose cards are neighbours.
        k: how many; fewer if the space has no more, or a large one no more candidates.

    Raises:
        NotInSpaceError: the embedding cannot describe the card.
        OptionError: k is not 1 or more.
    """
    if not isinstance(k, int | np.integer) or k < 1:
        raise OptionError(f"k: {shown(k)} neighbours make no sense")
    space, vector = embedding.space, embedding.vector(card)
    if space.size <= MATRIX_LIMIT:
        return _ranked(card, vector, list(space), embedding.matrix)[:k]
    found: list[Neighbor] = []
    for overlap in range(min(card.num_layers, max(space.choices.layers)), -1, -1):
        cards = [other for other in _with_overlap(card, overlap, space.choices) if other in space]
        if cards:
            found += _ranked(card, vector, cards, embedding.vectors(cards))
        if len(found) >= k:
            break
    return found[:k]


def _ranked(card: ModelCard, vector: Vectors, others: Sequence[ModelCard], vectors: Vectors) -> list[Neighbor]:
    """Other cards as neighbours of one, in order."""
    distances = np.linalg.norm(vectors - vector, axis=1).tolist()
    found = (Neighbor(other, biased_overlap(card, other), d) for other, d in zip(others, distances, strict=True))
    return sorted((one for one in found if one.card != card), key=lambda one: (-one.overlap, one.distance))


def _with_overlap(card: ModelCard, overlap: int, choices: Choices) -> Iterator[ModelCard]:
    """Cards with exactly so many layers in common with one; of each depth 2,000, of the layers nearest to its own."""
    for depth in choices.layers:
        if depth >= overlap:
            stacks = _stacks(card, overlap, depth, choices)
            for layers in islice(_cheapest(stacks), _CANDIDATES):
                other = ModelCard(tuple(chain.from_iterable(layers)))
                if biased_overlap(card, other) == overlap:
                    yield other


def _stacks(
    card: ModelCard, overlap: int, depth: int, choices: Choices
) -> list[list[tuple[float, tuple[EncoderLayer, ...]]]]:
    """What each stack may be, nearest to the card's own first, with the distance; inside the overlap the card's own."""
    repeat, numbers = choices.layers_per_stack or depth, numbering(choices)
    stacks = []
    for first in range(0, depth, repeat):
        own = card.layers[first] if first < card.num_layers else None
        if own is not None and first + repeat <= overlap:
            stacks.append([(0.0, (own,) * repeat)])
            continue
        options = [layer for layer in choices.layer_choices if first != overlap or layer != own]
        costs = [layer_distance(own, layer, EDGE_COST, numbers) for layer in options]
        order = sorted(range(len(options)), key=costs.__getitem__)
        stacks.append([(costs[i], (options[i],) * repeat) for i in order])
    return stacks


def _cheapest(lists: Sequence[Sequence[tuple[float, T]]]) -> Iterator[tuple[T, ...]]:
    """All ways of taking one item from each list, the least total cost first; each list is sorted by cost."""
    if not all(lists):
        return
    first = (0,) * len(lists)
    queue, seen = [(sum(options[0][0] for options in lists), first)], {first}
    while queue:
        cost, places = heappop(queue)
        yield tuple(options[place][1] for options, place in zip(lists, places, strict=True))
        for i, (options, place) in enumerate(zip(lists, places, strict=True)):
            ahead = (*places[:i], place + 1, *places[i + 1 :])
            if place + 1 < len(options) and ahead not in seen:
                seen.add(ahead)
                heappush(queue, (cost + options[place + 1][0] - options[place][0], ahead))
