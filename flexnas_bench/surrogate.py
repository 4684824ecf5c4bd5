"""Predicted scores: what a card that nobody trained would probably score and cost.

A provisional model: one Gaussian process on the embedding `stretched`, with a kernel that did best in cross-validation
on the 491 cards of the pool (benchmarks/RESULTS.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import Embedding
from flexnas_bench.embedding.stretched import Stretched
from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.predictors.process import GaussianProcess
from flexnas_bench.space import load_space

#: Cards with a score that a model needs.
FEWEST = 100
#: Space whose cards have predictions.
SPACE = "g3"
LENGTH, SCALE, NOISE = 2.1, 1.2, 0.16
_ALIKE, _BATCH = 51, 4_096
Array = NDArray[np.float64]


class Surrogate:
    """Predicts scores and costs of the cards of G3, and so of all spaces of the paper, from trained ones.

    Args:
        cards: trained cards.
        scores: their mean scores in points; NaN, of a training that diverged, is left out.
        cost_seconds: what a training of each took, NaN where that is not known.
        noise_std: standard deviation of the score of a repeated training, NaN if nothing was repeated.
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
        source: str = "",
    ) -> None:
        self._embedding: Embedding = Stretched(load_space(SPACE))
        rows = [
            (card, score, cost)
            for card, score, cost in zip(cards, scores, cost_seconds, strict=True)
            if card in self._embedding.space and not math.isnan(score)
        ]
        if len(rows) < FEWEST:
            raise NotMeasuredError(f"predictions need {FEWEST} scored cards of space {SPACE}; there are {len(rows)}")
        self.noise_std, self.source = noise_std, source
        self.digest = sha256(repr([(card.hash, *rest) for card, *rest in rows] + [noise_std]).encode()).hexdigest()[:16]
        self._scores = self._fit([(card, score) for card, score, _ in rows])
        known = [(card, math.log(cost)) for card, _, cost in rows if cost > 0]
        self._log_costs = self._fit(known) if len(known) >= FEWEST else None
        self._expected = self._shrunk([card for card, *_ in rows], np.array([score for _, score, _ in rows]))

    def predict(self, cards: Sequence[ModelCard]) -> tuple[Array, Array]:
        """Mean score of each card and standard deviation of that of one training, both `(len(cards),)`.

        Raises:
            NotInSpaceError: a card is not in G3.
        """
        found = np.empty((2, len(cards)))
        for i in range(0, len(cards), _BATCH):
            found[:, i : i + _BATCH] = self._scores.predict(self._features(cards[i : i + _BATCH]))
        return found[0], found[1]

    def draw(self, card: ModelCard, seed: int) -> float:
        """The score of one training: the mean and the noise of a repeated training, the same for the same seed.

        Raises:
            NotMeasuredError: nobody has repeated a training, so that the noise is not known.
            NotInSpaceError: the card is not in G3.
        """
        if math.isnan(self.noise_std):
            raise NotMeasuredError("no training was repeated under this protocol, so its noise is not known")
        rng = np.random.default_rng([seed, int(card.hash[:16], 16)])
        return float(self.predict([card])[0][0] + self.noise_std * rng.standard_normal())

    def cost_seconds(self, card: ModelCard) -> float:
        """Predicted seconds of a training, NaN where costs are not known; raises `NotInSpaceError`."""
        features = self._features([card])
        return math.nan if self._log_costs is None else float(np.exp(self._log_costs.predict(features)[0][0]))

    def expected(self, card: ModelCard) -> float:
        """What another training of a card would score on average, best guess.

        Of a trained card that is its reading, shrunk towards what is predicted without it: reading - (reading -
        prediction) noise^2 / spread^2, the spread being that of readings about predictions among the 51 trained
        cards of the nearest predictions. Of any other card it is the prediction.
        """
        return self._expected[card] if card in self._expected else float(self.predict([card])[0][0])

    def _fit(self, targets: Sequence[tuple[ModelCard, float]]) -> GaussianProcess:
        x = self._features([card for card, _ in targets])
        y = np.array([target for _, target in targets])
        return GaussianProcess(x, y, length=LENGTH, scale=SCALE, noise=NOISE)

    def _features(self, cards: Sequence[ModelCard]) -> Array:
        return self._embedding.vectors(cards).astype(np.float64)

    def _shrunk(self, cards: Sequence[ModelCard], scores: Array) -> Mapping[ModelCard, float]:
        without = self._scores.leave_one_out()
        order = np.argsort(without, kind="stable")
        squares = np.square(scores - without)[order]
        noise = 0.0 if math.isnan(self.noise_std) else self.noise_std**2
        expected = scores.copy()
        for place, i in enumerate(order):
            first = min(max(place - _ALIKE // 2, 0), len(order) - _ALIKE)
            share = min(noise / max(float(squares[first : first + _ALIKE].mean()), 1e-12), 1.0)
            expected[i] -= share * (scores[i] - without[i])
        return dict(zip(cards, expected.tolist(), strict=True))
