"""Which card a search recommends where readings are noisy: the one that a model of them expects most of.

The highest of many noisy readings is most often a lucky one. So the card is chosen by a Gaussian process of the
readings so far, the same for all methods, which then differ in what they evaluated and in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

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
#: Evaluations up to which the card is chosen anew at every step; beyond, at every tenth, as each costs their cube.
EVERY_STEP = 100
Array = NDArray[np.float64]


def recommendations(frame: pd.DataFrame, cards: pd.DataFrame, *, at_end: bool = False) -> pd.DataFrame:
    """The card recommended after each evaluation: of those evaluated, the one of the highest posterior mean.

    What the literature calls the recommended point; its distance to the best there is is the inference regret.

    Args:
        frame: runs of one method with predicted scores, as `Run.frame`.
        cards: their cards, as `read_cards`.
        at_end: after the last evaluation of each seed alone, which is far quicker.

    Returns:
        A row an evaluation, by `seed` and `step`: `card_hash`, `posterior` (its mean, see `posterior_means`) and
        `expected` (what it scores on average, of `cards`); none before the first success. Beyond 100 evaluations the
        card is chosen anew at every tenth and at the last, and stays the same in between.
    """
    table = cards[cards["card_hash"].isin(frame["card_hash"])].set_index("card_hash")
    kinds = [ModelCard.from_json(text) for text in table["card"]]
    vectors = _embedding().vectors(kinds).astype(np.float64)
    places = {digest: i for i, digest in enumerate(table.index)}
    found = []
    for seed, run in frame.sort_values("step").groupby("seed"):
        rows = [places[digest] for digest in run["card_hash"]]
        for step, i, mean in _recommended(vectors[rows], run["value"].to_numpy(), len(rows) if at_end else 1):
            found.append((seed, step, table.index[rows[i]], mean, table["expected"].iloc[rows[i]]))
    return pd.DataFrame(found, columns=["seed", "step", "card_hash", "posterior", "expected"])


def recommended_so_far(frame: pd.DataFrame, cards: pd.DataFrame, *, at_end: bool = False) -> pd.DataFrame:
    """What the card recommended after each evaluation scores on average: one row a seed, one column a step.

    Arguments are those of `recommendations`. Values are arranged as by `best_so_far`: NaN before the first success, and
    before the end where only that is asked for; a run that stopped keeps its last one.
    """
    found = recommendations(frame, cards, at_end=at_end).pivot(index="seed", columns="step", values="expected")
    return found.reindex(index=sorted(frame["seed"].unique()), columns=sorted(frame["step"].unique())).ffill(axis=1)


@lru_cache(maxsize=1)
def _embedding() -> OneHot:
    return OneHot(load_space(SURROGATE_SPACE))


def _recommended(vectors: Array, readings: Array, first: int) -> Iterator[tuple[int, int, float]]:
    """How many readings there were, from so many on, the row recommended after these, and its posterior mean."""
    squares, last, chosen = squareform(pdist(vectors, "sqeuclidean")), len(readings), None
    with threadpool_limits(limits=1):  # matrices this small are slower, not faster, on several threads
        for n in range(first, last + 1):
            rows = np.flatnonzero(~np.isnan(readings[:n]))
            if len(rows) and (chosen is None or n <= EVERY_STEP or n % 10 == 0 or n == last):
                means = posterior_means(squares[np.ix_(rows, rows)], readings[rows])
                chosen = int(rows[means.argmax()]), float(means.max())
            if chosen is not None:
                yield n, *chosen


def posterior_means(squares: Array, readings: Array) -> Array:
    """What a Gaussian process expects at the points that it was told of, `(n,)`.

    Its kernel is Matern 5/2 and its mean that of the readings; of several ratios of noise to signal it has the one
    whose marginal likelihood is the highest, at the signal that is the likeliest for it (Rasmussen and Williams 2006,
    equations 2.25 and 2.30). Fewer than two readings, or equal ones, are returned as they are.

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
