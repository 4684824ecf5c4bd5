"""What runs say together: means over seeds with 90 % intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

CONFIDENCE = 0.90
_RESAMPLES = 9_999


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 90 % percentile bootstrap interval; the bounds are NaN for a single seed.

    Each attribute has the shape of the data less its first axis.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def estimate(samples: NDArray[np.float64]) -> Estimate:
    """Mean and interval of samples `(seeds, ...)` over the first axis; the same samples give the same interval."""
    mean = samples.mean(axis=0)
    if len(samples) < 2:
        nothing = np.full_like(mean, np.nan)
        return Estimate(mean, nothing, nothing)
    interval = bootstrap(
        (samples,),
        np.mean,
        axis=0,
        n_resamples=_RESAMPLES,
        batch=1_000,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(mean, interval.low, interval.high)


def best_so_far(frame: pd.DataFrame, optimizer: str | None = None) -> pd.DataFrame:
    """Best value so far, one row a seed and one column a step (from 1); a run that stopped keeps its last value.

    Args:
        frame: runs, as `Run.frame`.
        optimizer: whose runs; `None` if there is only one.

    Raises:
        ValueError: the frame has several runs of one seed, or none at all.
    """
    if optimizer is not None:
        frame = frame[frame["optimizer"] == optimizer]
    if frame.empty:
        raise ValueError(f"no runs of {optimizer}")
    return frame.pivot(index="seed", columns="step", values="best").sort_index(axis=1).ffill(axis=1)


def paired_difference(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Best so far of `first` less that of `second`, seed by seed, for the seeds and steps that both have."""
    a, b = (best_so_far(frame, name) for name in (first, second))
    seeds, steps = a.index.intersection(b.index), a.columns.intersection(b.columns)
    return a.loc[seeds, steps] - b.loc[seeds, steps]
