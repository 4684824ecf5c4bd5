"""Trainings that failed: a score far below those of its like, which is a matter of luck and not of the card.

Of the 500 published trainings, 15 are far worse than their like at sentence pairs, and one has an RTE score of 0; all
16 have two layers. To a regression these are outliers; here they are events with a probability and a size.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.predictors.process import by_region

Array = NDArray[np.float64]
#: How far below the median of its stratum a failed score lies: in robust standard deviations, and in points.
FAR, POINTS = 6.0, 5.0
#: Scores that make a stratum.
FEWEST = 20
_NORMAL = 1.4826  # times the median absolute deviation makes the standard deviation of a normal sample


def failed(scores: Array, strata: Sequence[Hashable]) -> NDArray[np.bool_]:
    """Which scores `(n,)` are those of failures: NaN, or far below the median of their stratum.

    Far is more than six robust standard deviations, and five points. The deviation of a stratum of fewer than 20 is
    that of all scores about the medians of their strata.

    Args:
        scores: of trainings, NaN where one diverged.
        strata: of each training, such as its depth and width; trainings of one stratum score alike.
    """
    below = np.isnan(scores)
    names = {name: i for i, name in enumerate(dict.fromkeys(strata))}
    numbers = np.array([names[name] for name in strata])
    known = {number: scores[(numbers == number) & ~below] for number in names.values()}
    medians = {number: float(np.median(like)) for number, like in known.items() if len(like)}
    gaps = {number: np.abs(known[number] - median) for number, median in medians.items()}
    pooled = np.concatenate(list(gaps.values())) if gaps else np.empty(0)
    for number, median in medians.items():
        deviation = _NORMAL * np.median(gaps[number] if len(gaps[number]) >= FEWEST else pooled)
        below |= (numbers == number) & (scores < median - max(FAR * deviation, POINTS))
    return below


@dataclass(frozen=True)
class Failures:
    """How often trainings fail, by region, and what a failure costs.

    Attributes:
        probabilities: of a failure, by region.
        shortfall: mean points that a failed training lacks, compared with what was predicted of it.
        spread: their standard deviation.
    """

    probabilities: Mapping[int, float]
    shortfall: float
    spread: float

    @classmethod
    def count(cls, mask: NDArray[np.bool_], regions: NDArray[np.int64], lacking: Array) -> Failures:
        """Counted from trainings.

        A probability is the mean of its posterior under Jeffreys' prior, (failures + 1/2) / (trainings + 1).

        Args:
            mask: which failed, `(n,)`.
            regions: of the trainings, `(n,)`.
            lacking: points that failed ones lack, in any order; NaN where there is no score.
        """
        known = lacking[~np.isnan(lacking)] if (~np.isnan(lacking)).any() else np.zeros(1)
        names = np.unique(regions).tolist()
        rates = {name: (mask[regions == name].sum() + 0.5) / ((regions == name).sum() + 1) for name in names}
        if not mask.any():
            return cls(dict.fromkeys(names, 0.0), 0.0, 0.0)
        return cls({n: float(rate) for n, rate in rates.items()}, float(known.mean()), float(known.std()))

    def probability(self, regions: NDArray[np.int64]) -> Array:
        """Of each region, `(n,)`; one without trainings has that of the nearest number."""
        return by_region(self.probabilities, regions)
