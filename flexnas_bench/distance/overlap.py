"""How much of a card another one already has, counted from the input (section 3.3.3)."""

from __future__ import annotations

from flexnas_bench.card import ModelCard


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
