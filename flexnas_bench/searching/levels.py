"""From coarse to fine: the space around the best cards of a level, one level down (sections 3.2.2 and B.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import OptionError
from flexnas_bench.space import DesignSpace, ListSpace

#: Cards that become parents, with their neighbours, and children that make up the finer space.
PARENTS, CHILDREN = 10, 5_000
_SOME = 100
_STREAM = 2**32 - 2  # keeps these draws apart from those of the optimizer


def refined(
    finer: DesignSpace, coarser: DesignSpace, told: Sequence[tuple[ModelCard, float]], seed: int, level: int
) -> DesignSpace:
    """The neighbourhood of the best cards so far in a finer space.

    Children are crossed over from one of the ten best cards and either another of them or a neighbour, each value of
    each layer being one that a parent has at that depth. All cards told are part of it, for the optimizer to learn
    from.

    Args:
        finer: the space of the children.
        coarser: the space whose cards are the neighbours.
        told: cards and values so far, at least one; NaN for a failed evaluation.
        seed: of the search.
        level: number of the level, from 0.

    Returns:
        A listed space of up to 5,000 children, and the cards told.

    Raises:
        OptionError: nothing was told that did not fail.
    """
    rng = np.random.default_rng([seed, level, _STREAM])
    succeeded = {card: value for card, value in told if not np.isnan(value)}
    if not succeeded:
        raise OptionError(f"levels: the budget leaves no evaluation that succeeded for level {coarser.name}")
    best = sorted(succeeded, key=succeeded.__getitem__, reverse=True)[:PARENTS]
    partners = {card: [other for other in best if other != card] + coarser.neighbors(card) for card in best}
    cards = dict.fromkeys(card for card, _ in told)
    for _ in range(2 * CHILDREN):
        one = best[int(rng.integers(len(best)))]
        other = partners[one][int(rng.integers(len(partners[one])))]
        cards[finer.crossover(one, other, rng)] = None
        if len(cards) == CHILDREN + len(told):
            break
    return ListSpace(f"{finer.name} around the best of {coarser.name}", list(cards), finer.choices)


def check_levels(levels: Sequence[DesignSpace]) -> None:
    """Raises `OptionError` unless each level is part of the next."""
    for coarser, finer in pairwise(levels):
        if any(card not in finer for card in coarser.sample(min(_SOME, coarser.size))):
            raise OptionError(f"levels: cards of {coarser.name} are not in {finer.name}; name them from coarse to fine")
