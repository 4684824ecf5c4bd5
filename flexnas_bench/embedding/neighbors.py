"""The neighbours from which a card may inherit weights (section 3.3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, product
from typing import NamedTuple

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.alignment import layer_distance
from flexnas_bench.distance.blocks import EDGE_COST, numbering
from flexnas_bench.distance.overlap import biased_overlap
from flexnas_bench.embedding.base import MATRIX_LIMIT, Embedding, Vectors
from flexnas_bench.errors import OptionError
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices

_CANDIDATES = 2_000  # of one depth and overlap


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
    (2, 2)

    Args:
        card: the card that wants weights, one that the embedding can describe.
        embedding: vectors, and the space whose cards are neighbours.
        k: how many; fewer if the space is smaller.

    Raises:
        NotInSpaceError: the embedding cannot describe the card.
        OptionError: k is not 1 or more.
    """
    if k < 1:
        raise OptionError(f"k: {k} neighbours make no sense")
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
    """Cards with exactly so many layers in common with one, counted from the input: 2,000 of each depth at most."""
    for depth in choices.layers:
        if depth >= overlap:
            stacks = _stacks(card, overlap, depth, choices)
            cards = (ModelCard(tuple(chain.from_iterable(layers))) for layers in islice(product(*stacks), _CANDIDATES))
            yield from (other for other in cards if biased_overlap(card, other) == overlap)


def _stacks(card: ModelCard, overlap: int, depth: int, choices: Choices) -> list[list[tuple[EncoderLayer, ...]]]:
    """What each stack may be: the card's own inside the overlap, the layers nearest to the card's elsewhere."""
    repeat, numbers = choices.layers_per_stack or depth, numbering(choices)
    free = -(-(depth - overlap) // repeat)
    count = max(2, int(_CANDIDATES ** (1 / free))) if free else 1
    stacks = []
    for first in range(0, depth, repeat):
        own = card.layers[first] if first < card.num_layers else None
        layers: Iterable[EncoderLayer | None] = [own]
        if first + repeat > overlap:
            near = sorted(choices.layer_choices, key=lambda layer: layer_distance(own, layer, EDGE_COST, numbers))
            layers = near[: count + 1]  # one of which may be the card's own
        stacks.append([(layer,) * repeat for layer in layers if layer is not None])
    return stacks
