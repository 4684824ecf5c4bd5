"""What a surrogate learns from: cards with the scores of their trainings, those that failed apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.answers import Replicates
from flexnas_bench.card import ModelCard
from flexnas_bench.surrogate.failures import failed


@dataclass(frozen=True)
class Trained:
    """A card that was trained, once or several times.

    Attributes:
        card: the card.
        scores: of the trainings that did not fail, in points.
        failed_scores: of those that did; NaN where there is no score.
        cost_seconds: mean of one training, NaN where that is not known.
    """

    card: ModelCard
    scores: tuple[float, ...]
    failed_scores: tuple[float, ...] = ()
    cost_seconds: float = math.nan

    @property
    def trainings(self) -> int:
        """How many there were."""
        return len(self.scores) + len(self.failed_scores)

    @property
    def fine(self) -> float:
        """Mean score of the trainings that did not fail, NaN if all did."""
        return fmean(self.scores) if self.scores else math.nan


def collect(cards: Mapping[str, ModelCard], tasks: Sequence[Mapping[str, Replicates]]) -> list[Trained]:
    """The trained cards, with failures told apart.

    A training failed if its score of any of the tasks is far below those of its like (`failures.failed`): cards of
    the same depth and first hidden size.

    Args:
        cards: by hash.
        tasks: scores by hash; first those of the task that is predicted, then those of the tasks that it is the mean
            of, as far as there are any.
    """
    digests = list(cards)
    bad: set[tuple[str, int]] = set()
    for scores in tasks:
        rows = [(digest, replicate) for digest in digests for replicate in scores.get(digest, {})]
        values = np.array([scores[digest][replicate].value for digest, replicate in rows])
        like = [(cards[digest].num_layers, cards[digest].layers[0].hidden) for digest, _ in rows]
        bad |= {row for row, below in zip(rows, failed(values, like), strict=True) if below}
    return [
        Trained(
            card=cards[digest],
            scores=tuple(s.value for number, s in tasks[0][digest].items() if (digest, number) not in bad),
            failed_scores=tuple(s.value for number, s in tasks[0][digest].items() if (digest, number) in bad),
            cost_seconds=_mean_known(score.cost_seconds for score in tasks[0][digest].values()),
        )
        for digest in digests
    ]


def _mean_known(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


def repeats(trained: list[Trained], regions: NDArray[np.int64]) -> dict[int, tuple[float, int]]:
    """The variance of the scores of one card about their mean, and its degrees of freedom, by region.

    Args:
        trained: cards, of which those trained several times count.
        regions: of each card, `(n,)`.
    """
    found: dict[int, tuple[float, int]] = {}
    for region in np.unique(regions).tolist():
        several = [t for t, at in zip(trained, regions, strict=True) if at == region and len(t.scores) > 1]
        freedom = sum(len(t.scores) - 1 for t in several)
        squares = math.fsum((score - t.fine) ** 2 for t in several for score in t.scores)
        if freedom:
            found[region] = (squares / freedom, freedom)
    return found
