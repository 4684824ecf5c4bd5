"""How many dimensions vectors need (section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.embedding.scaling import scale
from flexnas_bench.processes import Progress

DIMENSIONS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32)
SAMPLE = 1_500  # cards, which tell what all of them would


def error_by_dimension(
    distances: NDArray[np.float32],
    dimensions: Sequence[int] = DIMENSIONS,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[float]:
    """Mean squared error of vectors of each length, for a sample of up to 1,500 cards."""
    sample = np.random.default_rng(seed).permutation(len(distances))[:SAMPLE]
    inner = np.ascontiguousarray(distances[np.ix_(sample, sample)])
    errors = []
    for done, dim in enumerate(dimensions, 1):
        errors.append(scale(inner, dim, seed=seed).error)
        if progress:
            progress("Trying dimensions", done, len(dimensions))
    return errors


def knee(dimensions: Sequence[int], errors: Sequence[float]) -> int:
    """The dimension after which there is little to gain: the point farthest below the chord of the curve.

    Both axes are scaled to 0 to 1 first (Satopaa et al. 2011).

    >>> knee([1, 2, 3, 4, 5], [100, 60, 10, 9, 8])
    3
    """
    x, y = (np.interp(v, (min(v), max(v)), (0, 1)) for v in (np.array(dimensions, float), np.array(errors, float)))
    return int(dimensions[int(np.argmax(1 - x - y))])
