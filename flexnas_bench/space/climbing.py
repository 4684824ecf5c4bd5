"""Local search over neighbours: how what is best is found in a space that nobody can list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.space.base import DesignSpace

_ALIKE = 2
Scores = NDArray[np.floating]


def climb(
    space: DesignSpace, starts: Sequence[ModelCard], score: Callable[[Sequence[ModelCard]], Scores], beam: int
) -> tuple[list[ModelCard], Scores]:
    """Looks at the neighbours of the best cards so far, until no neighbour of these is new.

    Several scores can be climbed at once, each with best cards of its own, and what is looked at serves all of them.

    Args:
        space: its cards are the neighbours (`DesignSpace.neighbors`).
        starts: cards to begin with, at least one.
        score: what is maximised, `(n, k)` of `n` cards and `k` scores.
        beam: how many are the best; of each value only two, lest many cards of one value fill it.

    Returns:
        All cards looked at, and their scores `(n, k)`.
    """
    cards = list(dict.fromkeys(starts))
    known, expanded = set(cards), set[ModelCard]()
    scores = score(cards)
    while True:
        best = dict.fromkeys(cards[i] for column in scores.T for i in _best(column, beam))
        ahead = dict.fromkeys(n for card in best if card not in expanded for n in space.neighbors(card))
        new = [card for card in ahead if card not in known]
        expanded.update(best)
        if not new:
            return cards, scores
        cards += new
        known.update(new)
        scores = np.concatenate([scores, score(new)])


def _best(values: Scores, n: int) -> list[int]:
    """Positions of the `n` highest values, but of each value no more than two."""
    alike: Counter[float] = Counter()
    best: list[int] = []
    for i in np.argsort(-values, kind="stable").tolist():
        alike[value := round(float(values[i]), 3)] += 1
        if alike[value] <= _ALIKE:
            best.append(i)
        if len(best) == n:
            break
    return best
