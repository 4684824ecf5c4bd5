"""What runs say together: means over seeds with 90 % intervals, ranks, targets and paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap, rankdata, wilcoxon

CONFIDENCE = 0.90
_RESAMPLES = 9_999


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 90 % percentile bootstrap interval.

    The bounds are NaN for a single seed, and where a seed has no value; the mean is NaN there too. Each
    attribute has the shape of the data less its first axis.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def estimate(samples: NDArray[np.float64]) -> Estimate:
    """Mean and interval of samples `(seeds, ...)` over the first axis; the same samples give the same interval."""
    columns = samples.reshape(len(samples), -1)
    low, high = np.full((2, columns.shape[1]), np.nan)
    known = ~np.isnan(columns).any(axis=0)
    if len(samples) > 1 and known.any():
        found = bootstrap(
            (columns[:, known],),
            np.mean,
            axis=0,
            n_resamples=_RESAMPLES,
            batch=1_000,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        low[known], high[known] = found
    shape = samples.shape[1:]
    return Estimate(samples.mean(axis=0), low.reshape(shape), high.reshape(shape))


def estimates(table: pd.DataFrame, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Means over the rows of a table, a row a seed, with their intervals at some of its columns, the steps."""
    found = estimate(table[list(steps)].to_numpy())
    columns = zip(steps, found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True)
    return [dict(zip(("step", "mean", "low", "high"), column, strict=True)) for column in columns]


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


def expected_so_far(frame: pd.DataFrame, cards: pd.DataFrame, optimizer: str | None = None) -> pd.DataFrame:
    """What the card of the best reading so far scores on average, arranged as by `best_so_far`.

    The best of many noisy readings is partly luck; this is what one would get.

    Args:
        frame: runs, as `Run.frame`.
        cards: their cards, as `read_cards`.
        optimizer: as of `best_so_far`.
    """
    run = ["optimizer", "seed"]
    frame = frame.sort_values("step")
    better = frame["value"].notna() & ~frame.duplicated([*run, "best"])  # otherwise the card is the one before
    expected = frame["card_hash"].map(cards.set_index("card_hash")["expected"]).where(better)
    return best_so_far(frame.assign(best=expected.groupby([frame[name] for name in run]).ffill()), optimizer)


def best_by_time(frame: pd.DataFrame, hours: NDArray[np.float64], clock: pd.Series) -> pd.DataFrame:
    """Best value at points in simulated time: one row a seed, one column a point; NaN before the first value.

    Args:
        frame: runs of one method, as `Run.frame`, by step.
        hours: the points.
        clock: hours at the end of each evaluation, not falling within a seed, by the rows of the frame.
    """
    rows = {}
    for seed, run in frame.groupby("seed"):
        done = np.searchsorted(clock[run.index], hours, side="right")
        rows[seed] = np.concatenate([[np.nan], run["best"]])[done]
    return pd.DataFrame.from_dict(rows, orient="index", columns=hours)


def paired_difference(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Best so far of one method less that of another, for the seeds and steps that both have."""
    first, second = first.align(second, join="inner")
    return first - second


def paired_test(difference: NDArray[np.float64]) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test that differences `(seeds,)` lie about zero."""
    return float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0


def ranks(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The rank of each method at each step among all, seed by seed, 1 being the best; equal ones share the mean.

    Only seeds and steps that all methods have count, and there may be none. Where a method has no value yet, nobody has
    a rank.
    """
    seeds = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    steps = sorted(set.intersection(*(set(table.columns) for table in tables.values())))
    stacked = np.stack([table.loc[seeds, steps].to_numpy() for table in tables.values()])
    found = rankdata(-stacked, axis=0)
    return {name: pd.DataFrame(found[i], seeds, steps) for i, name in enumerate(tables)}


def evaluations_to(best: pd.DataFrame, target: float) -> NDArray[np.float64]:
    """Evaluations that each seed needed to reach a target, `(seeds,)`; infinite where it never did."""
    reached = best.to_numpy() >= target
    return np.where(reached.any(axis=1), best.columns.to_numpy()[reached.argmax(axis=1)], np.inf)
