"""How much of a card another one already has, counted from the input (section 3.3.3)."""

from __future__ import annotations

import math

from flexnas_bench.card import ModelCard
from flexnas_bench.layer import EncoderLayer

#: The overlap fraction from which on weights are transferred; section 4.1 has 0.8.
THRESHOLD = 0.8


def biased_overlap(query: ModelCard, neighbor: ModelCard) -> int:
    """Number of equal encoder layers from the input to the first difference; what lies deeper does not count."""
    equal = 0
    for mine, theirs in zip(query.layers, neighbor.layers, strict=False):
        if mine != theirs:
            break
        equal += 1
    return equal


def overlap_fraction(query: ModelCard, neighbor: ModelCard) -> float:
    """The biased overlap as a fraction of the query's layers, 0 to 1; not symmetric.

    >>> tiny = ModelCard.named("bert-tiny")
    >>> deeper = ModelCard(tiny.layers * 2)
    >>> overlap_fraction(deeper, tiny), overlap_fraction(tiny, deeper)
    (0.5, 1.0)
    """
    return biased_overlap(query, neighbor) / query.num_layers


class Donors:
    """Trained cards that weights can be taken from, whatever their number.

    >>> tiny = ModelCard.named("bert-tiny")
    >>> donors = Donors(threshold=0.5)
    >>> donors.serve(tiny), donors.add(tiny), donors.serve(ModelCard(tiny.layers * 2))
    (False, None, True)

    Args:
        threshold: smallest overlap fraction, above 0 and up to 1.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._beginnings: set[tuple[EncoderLayer, ...]] = set()

    def add(self, card: ModelCard) -> None:
        """Says that a card is trained."""
        self._beginnings.update(card.layers[: n + 1] for n in range(card.num_layers))

    def serve(self, query: ModelCard) -> bool:
        """Whether the overlap fraction of a card with a trained one is at the threshold or over it."""
        needed = math.ceil(self._threshold * query.num_layers - 1e-9)  # 0.6 * 5 is a little more than 3
        return query.layers[:needed] in self._beginnings
