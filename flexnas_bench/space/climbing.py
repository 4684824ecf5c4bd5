"""Local search over neighbours: how what is best is found in a space that nobody can list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.space.base import DesignSpace

_ALIKE = 2
Score = Callable[[Sequence[ModelCard]], NDArray[np.floating]]


def climb(space: DesignSpace, starts: Sequence[ModelCard], score: Score, beam: int) -> dict[ModelCard, float]:
    """Looks at the neighbours of the best cards so far, until no neighbour of these is new.

    Args:
        space: its cards are the neighbours (`DesignSpace.neighbors`).
        starts: cards to begin with, at least one.
        score: what is maximised, of many cards at once.
        beam: how many are the best; of each score only two, lest many cards of one score fill it.

    Returns:
        All cards looked at, with their scores.
    """
    found = _scored(list(dict.fromkeys(starts)), score)
    expanded: set[ModelCard] = set()
    while new := [card for card in _best(found, beam) if card not in expanded]:
        expanded.update(new)
        found |= _scored(list(dict.fromkeys(n for card in new for n in space.neighbors(card) if n not in found)), score)
    return found


def _scored(cards: list[ModelCard], score: Score) -> dict[ModelCard, float]:
    return dict(zip(cards, score(cards).tolist(), strict=True)) if cards else {}


def _best(scores: Mapping[ModelCard, float], n: int) -> list[ModelCard]:
    """The `n` cards of the highest scores, but of each score no more than two."""
    alike: Counter[float] = Counter()
    best: list[ModelCard] = []
    for card in sorted(scores, key=scores.__getitem__, reverse=True):
        alike[score := round(scores[card], 3)] += 1
        if alike[score] <= _ALIKE:
            best.append(card)
        if len(best) == n:
            break
    return best
