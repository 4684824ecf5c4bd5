"""Predicted scores: what a card that nobody trained would probably score and cost.

A provisional model: one Gaussian process on the embedding `stretched`. Its kernel and constants were picked by looking
at the 491 cards of the pool; `benchmarks/surrogate_quality.py` says how well it predicts cards left out.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import Embedding
from flexnas_bench.embedding.stretched import Stretched
from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.results import SURROGATE_SPACE
from flexnas_bench.space import load_space

#: Cards with a score that a model needs.
FEWEST = 100
#: Of the process: length scale in units of the root of the total variance of vectors, variances in those of scores.
LENGTH, VARIANCE, NOISE = 2.1, 1.44, 0.16
#: Digits of a prediction after the point; further ones depend on how many cores add up the sums.
DIGITS = 6
_ALIKE, _BATCH = 51, 4_096
Array = NDArray[np.float64]


class Surrogate:
    """Predicts scores and costs of the cards of G3, and so of all spaces of the paper, from trained ones.

    Args:
        cards: trained cards.
        scores: their mean scores in points; NaN, of a training that diverged, is left out.
        cost_seconds: what a training of each took, NaN where that is not known.
        noise_std: standard deviation of the score of a repeated training, NaN if nothing was repeated.
        trainings: how many trainings each score is the mean of; one if not given.
        name: of what is predicted; noise is drawn afresh for another one.
        source: where the scores come from.

    Attributes:
        noise_std: as given.
        source: as given.
        digest: 16 hex digits of what the predictions follow from.

    Raises:
        NotMeasuredError: fewer than 100 cards of G3 have a score.
    """

    def __init__(
        self,
        cards: Sequence[ModelCard],
        scores: Sequence[float],
        cost_seconds: Sequence[float],
        noise_std: float,
        *,
        trainings: Sequence[int] | None = None,
        name: str = "",
        source: str = "",
    ) -> None:
        self._embedding: Embedding = Stretched(load_space(SURROGATE_SPACE))
        columns = (cards, scores, cost_seconds, trainings or [1] * len(cards))
        rows = [row for row in zip(*columns, strict=True) if row[0] in self._embedding.space and not math.isnan(row[1])]
        if len(rows) < FEWEST:
            raise NotMeasuredError(
                f"predictions need {FEWEST} scored cards of space {SURROGATE_SPACE}; there are {len(rows)}"
            )
        self.noise_std, self.source, self._name = noise_std, source, name
        facts = [(card.hash, *rest) for card, *rest in rows] + [noise_std, LENGTH, VARIANCE, NOISE]
        self.digest = sha256(repr(facts).encode()).hexdigest()[:16]
        self._scores = self._fit([(card, score) for card, score, _, _ in rows])
        known = [(card, math.log(cost)) for card, _, cost, _ in rows if cost > 0]
        self._log_costs = self._fit(known) if len(known) >= FEWEST else None
        self._expected = self._shrunk(*zip(*((card, score, n) for card, score, _, n in rows), strict=True))

    def predict(self, cards: Sequence[ModelCard]) -> tuple[Array, Array]:
        """Mean score of each card and standard deviation of that of one training, both `(len(cards),)`.

        Raises:
            NotInSpaceError: a card is not in G3.
        """
        found = np.empty((2, len(cards)))
        for i in range(0, len(cards), _BATCH):
            found[:, i : i + _BATCH] = self._scores.predict(self._features(cards[i : i + _BATCH]), return_std=True)
        found = found.round(DIGITS)
        return found[0], found[1]

    def draw(self, card: ModelCard, seed: int) -> float:
        """The score of one training: the mean and the noise of a repeated training, the same for the same seed.

        Raises:
            NotMeasuredError: nobody has repeated a training, so that the noise is not known.
            NotInSpaceError: the card is not in G3.
        """
        if math.isnan(self.noise_std):
            raise NotMeasuredError("no training was repeated under this protocol, so its noise is not known")
        rng = np.random.default_rng([seed, int(card.hash[:16], 16), zlib.crc32(self._name.encode())])
        return round(float(self.predict([card])[0][0] + self.noise_std * rng.standard_normal()), DIGITS)

    def cost_seconds(self, card: ModelCard) -> float:
        """Predicted seconds of a training, NaN where costs are not known; raises `NotInSpaceError`."""
        features = self._features([card])
        return math.nan if self._log_costs is None else round(math.exp(self._log_costs.predict(features)[0]), DIGITS)

    def expected(self, card: ModelCard) -> float:
        """What another training of a card would score on average, best guess.

        Of a trained card that is its reading, shrunk towards what is predicted without it: reading - (reading -
        prediction) noise^2 / (n spread^2), with n trainings, and the spread of readings about predictions among the
        51 trained cards of the nearest predictions. Of any other card it is the prediction.
        """
        return self._expected[card] if card in self._expected else float(self.predict([card])[0][0])

    def _fit(self, targets: Sequence[tuple[ModelCard, float]]) -> GaussianProcessRegressor:
        x = self._features([card for card, _ in targets])
        length = LENGTH * max(float(np.sqrt(x.var(axis=0).sum())), 1e-12)
        kernel = ConstantKernel(VARIANCE) * Matern(length, nu=0.5) + WhiteKernel(NOISE)
        process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        return process.fit(x, np.array([target for _, target in targets]))

    def _features(self, cards: Sequence[ModelCard]) -> Array:
        return self._embedding.vectors(cards).astype(np.float64)

    def _shrunk(
        self, cards: Sequence[ModelCard], scores: Sequence[float], trainings: Sequence[int]
    ) -> Mapping[ModelCard, float]:
        readings, without = np.array(scores), leave_one_out(self._scores, np.array(scores))
        order = np.argsort(without, kind="stable")
        squares = np.square(readings - without)[order]
        noise = 0.0 if math.isnan(self.noise_std) else self.noise_std**2
        expected = readings.copy()
        for place, i in enumerate(order):
            first = min(max(place - _ALIKE // 2, 0), len(order) - _ALIKE)
            share = min(noise / trainings[i] / max(float(squares[first : first + _ALIKE].mean()), 1e-12), 1.0)
            expected[i] -= share * (readings[i] - without[i])
        return dict(zip(cards, expected.round(DIGITS).tolist(), strict=True))


def leave_one_out(process: GaussianProcessRegressor, y: Array) -> Array:
    """The mean at each own point of the process fitted to all others, `(n,)`.

    Rasmussen and Williams 2006, equation 5.12; mean and unit of all targets `y` stay as they are.
    """
    precision = np.diag(cho_solve((process.L_, True), np.eye(len(y))))
    without: Array = y - y.std() * process.alpha_ / precision
    return without
