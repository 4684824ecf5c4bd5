"""Pre-training steps as a fidelity: what a card would score at a checkpoint of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.results import FINETUNE_HOURS, TRAINING_HOURS
from flexnas_bench.space import DesignSpace
from flexnas_bench.surrogate.model import DIGITS, Surrogate
from flexnas_bench.surrogate.predictor import Prediction, noise_of

Array = NDArray[np.float64]
#: Cards with a score at a checkpoint that a line needs.
FEWEST_CURVES = 10


class CurveSurrogate:
    """Predicts scores at one checkpoint from those that are predicted for a whole training: by a straight line.

    The line is Theil and Sen's, the median of the slopes of all pairs, since of the few cards with curves some fail at
    every checkpoint. What it is fitted to are predictions that do not know the card's own training. Failures are as
    frequent as the base says, and lack what they lack there times the slope.

    Args:
        base: predicts scores of whole trainings.
        cards: cards with a score at the checkpoint.
        scores: those, in points, `(n,)`.
        share: how many steps of the base's training the checkpoint is: of 300,000 after 100,000 steps, 3.
        name: of what is predicted; noise is drawn afresh for another one.
        source: where the scores come from.

    Attributes:
        base: as given.
        slope: points at the checkpoint for a point of the base's prediction.
        intercept: of the line, in points.
        errors: what each card was predicted too high by a line through the others, in points, `(n,)`.
        noise: robust standard deviation of the errors (1.4826 times the median of their sizes), in points.
        source: as given.
        digest: 16 hex digits of what the predictions follow from.

    Raises:
        NotMeasuredError: fewer than ten cards have a score there.
    """

    def __init__(
        self,
        base: Surrogate,
        cards: Sequence[ModelCard],
        scores: Sequence[float],
        share: float,
        *,
        name: str = "",
        source: str = "",
    ) -> None:
        known = [(card, score) for card, score in zip(cards, scores, strict=True) if card in base.space]
        known = [(card, score) for card, score in known if not np.isnan(score)]
        if len(known) < FEWEST_CURVES:
            raise NotMeasuredError(
                f"predictions of a checkpoint need {FEWEST_CURVES} scored cards; there are {len(known)}"
            )
        self.base, self._share, self._name, self.source = base, share, name, source
        x, y = np.array([base.held_out(card) for card, _ in known]), np.array([score for _, score in known])
        self.slope, self.intercept = _line(x, y)
        others = [_line(np.delete(x, i), np.delete(y, i)) for i in range(len(y))]
        self.errors = np.array([slope * x[i] + start - y[i] for i, (slope, start) in enumerate(others)])
        self.noise = round(float(1.4826 * np.median(np.abs(self.errors))), DIGITS)
        facts = (base.digest, self.slope, self.intercept, self.noise, share)
        self.digest = sha256(repr(facts).encode()).hexdigest()[:16]

    @property
    def space(self) -> DesignSpace:
        """That of the base."""
        return self.base.space

    def predict(self, cards: Sequence[ModelCard]) -> Prediction:
        """What is predicted of each card; raises `NotInSpaceError`.

        Errors of held-out cards, which the aleatoric deviation is of, hold some of the base's epistemic one too; so the
        sum of both is rather too large.
        """
        found = self.base.predict(cards)
        rate, lacking, spread = found.failure_probability, *self._failed()
        squares = (1 - rate) * self.noise**2 + rate * spread**2 + rate * (1 - rate) * lacking**2
        return Prediction(
            mean=(self.intercept + self.slope * found.mean).round(DIGITS),
            epistemic_std=(abs(self.slope) * found.epistemic_std).round(DIGITS),
            aleatoric_std=np.sqrt(squares).round(DIGITS),
            failure_probability=rate,
            in_support=found.in_support,
        )

    def draw(self, card: ModelCard, seed: int) -> float:
        """A score about the predicted one, failed ones among them; the same for the same seed."""
        rng, found = noise_of(card, seed, self._name), self.predict([card])
        rate, lacking, spread = found.failure_probability[0], *self._failed()
        chance, deviation = rng.random(), rng.standard_normal()
        fine = found.mean[0] + rate * lacking
        score = fine - lacking + spread * deviation if chance < rate else fine + self.noise * deviation
        return round(float(score), DIGITS)

    def _failed(self) -> tuple[float, float]:
        """What a failed training lacks at the checkpoint, and the standard deviation of that."""
        spread = abs(self.slope) * self.base.failures.spread
        return self.slope * self.base.failures.shortfall, spread or self.noise

    def cost_seconds(self, cards: Sequence[ModelCard]) -> Array:
        """Predicted seconds up to the checkpoint: pre-training in proportion to its steps, and the fine-tuning."""
        finetuning = FINETUNE_HOURS / TRAINING_HOURS
        return (self.base.cost_seconds(cards) * ((1 - finetuning) * self._share + finetuning)).round(DIGITS)

    def lacking(self, card: ModelCard) -> list[str]:
        """As the base says."""
        return self.base.lacking(card)

    def expected(self, card: ModelCard) -> float:
        """The prediction: few cards have curves."""
        return float(self.predict([card]).mean[0])


def _line(x: Array, y: Array) -> tuple[float, float]:
    """Theil and Sen's slope, and the median of what it leaves as intercept, to six digits."""
    found = theilslopes(y, x, method="joint")
    return round(float(found.slope), DIGITS), round(float(found.intercept), DIGITS)
