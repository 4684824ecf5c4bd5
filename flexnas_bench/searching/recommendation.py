"""Which card a search recommends where readings are noisy: the one that a model of them expects most of.

The highest of many noisy readings is most often a lucky one. So the card is chosen by a Gaussian process of the
readings so far, the same for all methods, which then differ in what they evaluated and in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist, squareform
from threadpoolctl import threadpool_limits

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.results import SURROGATE_SPACE
from flexnas_bench.space import load_space

#: Length of the process in units of the root mean square distance of its cards, and its noise in those of the signal.
LENGTH, NOISES = 2.0, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
Array = NDArray[np.float64]


def recommended_so_far(frame: pd.DataFrame, cards: pd.DataFrame) -> pd.DataFrame:
    """What the card recommended after each evaluation scores on average: one row a seed, one column a step.

    It is, of the cards evaluated, the one with the highest posterior mean (see `posterior_means`).

    Args:
        frame: runs of one method with predicted scores, as `Run.frame`.
        cards: their cards, as `read_cards`.

    Returns:
        Values as `best_so_far` arranges them: NaN before the first success, and a run that stopped keeps its last one.
    """
    table = cards.set_index("card_hash")
    kinds = [ModelCard.from_json(text) for text in table["card"]]
    vectors = OneHot(load_space(SURROGATE_SPACE)).vectors(kinds).astype(np.float64)
    places = {digest: i for i, digest in enumerate(table.index)}
    found: dict[int, Mapping[int, float]] = {}
    for seed, run in frame.sort_values("step").groupby("seed"):
        rows = [places[digest] for digest in run["card_hash"]]
        chosen = _recommended(vectors[rows], run["value"].to_numpy())
        expected = table["expected"].to_numpy()[rows]
        found[seed] = {
            step: math.nan if i is None else expected[i] for step, i in zip(run["step"], chosen, strict=True)
        }
    return pd.DataFrame.from_dict(found, orient="index").sort_index(axis=1).ffill(axis=1)


def _recommended(vectors: Array, readings: Array) -> list[int | None]:
    """The row recommended after each reading; `None` before the first that did not fail."""
    squares = squareform(pdist(vectors, "sqeuclidean"))
    chosen: list[int | None] = []
    with threadpool_limits(limits=1):  # matrices this small are slower, not faster, on several threads
        for n in range(1, len(readings) + 1):
            rows = np.flatnonzero(~np.isnan(readings[:n]))
            means = posterior_means(squares[np.ix_(rows, rows)], readings[rows])
            chosen.append(int(rows[means.argmax()]) if len(rows) else None)
    return chosen


def posterior_means(squares: Array, readings: Array) -> Array:
    """What a Gaussian process expects at the points that it was told of, `(n,)`.

    Its kernel is Matern 5/2; of several noises it has the one whose marginal likelihood is the highest; mean and
    variance are those of the readings (Rasmussen and Williams 2006, equations 2.25 and 2.30).

    Args:
        squares: squared distances of the points, `(n, n)`.
        readings: `(n,)`, finite.
    """
    if len(readings) < 2 or not np.ptp(readings):
        return readings
    centred, noises = readings - readings.mean(), np.array(NOISES)[:, None]
    unit = math.sqrt(squares.sum() / (len(squares) * (len(squares) - 1))) or 1.0
    apart = np.sqrt(5 * squares) / (LENGTH * unit)
    values, axes = np.linalg.eigh((1 + apart + apart**2 / 3) * np.exp(-apart))
    values, along = values.clip(0), axes.T @ centred
    signal = (along**2 / (values + noises)).mean(axis=1)
    likelihoods = -len(centred) * np.log(signal) - np.log(values + noises).sum(axis=1)
    shrunk = axes @ (values / (values + noises[likelihoods.argmax()]) * along)
    means: Array = readings.mean() + shrunk
    return means
