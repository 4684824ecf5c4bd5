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
FEWEST = 10


class CurveSurrogate:
    """Predicts scores at one checkpoint from those that are predicted for a whole training: by a straight line.

    The line is Theil and Sen's, the median of the slopes of all pairs, since of the few cards with curves some fail at
    every checkpoint. What it is fitted to are predictions that do not know the card's own training.

    Args:
        base: predicts scores of whole trainings.
        cards: cards with a score at the checkpoint.
        scores: those, in points, `(n,)`.
        steps: how many steps of the base's training the checkpoint is: of 300,000 after 100,000 steps, 3.
        name: of what is predicted; noise is drawn afresh for another one.
        source: where the scores come from.

    Attributes:
        base: as given.
        slope: points at the checkpoint for a point of the base's prediction.
        intercept: of the line, in points.
        errors: what each card was predicted too high by a line through the others, in points, `(n,)`.
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
        steps: float,
        *,
        name: str = "",
        source: str = "",
    ) -> None:
        known = [(card, score) for card, score in zip(cards, scores, strict=True) if card in base.space]
        known = [(card, score) for card, score in known if not np.isnan(score)]
        if len(known) < FEWEST:
            raise NotMeasuredError(f"predictions of a checkpoint need {FEWEST} scored cards; there are {len(known)}")
        self.base, self._steps, self._name, self.source = base, steps, name, source
        x, y = np.array([base.held_out(card) for card, _ in known]), np.array([score for _, score in known])
        self.slope, self.intercept = _line(x, y)
        others = [_line(np.delete(x, i), np.delete(y, i)) for i in range(len(y))]
        self.errors = np.array([slope * x[i] + start - y[i] for i, (slope, start) in enumerate(others)])
        self._error = float(np.sqrt(np.square(self.errors).mean()))
        facts = (base.digest, self.slope, self.intercept, self._error, steps)
        self.digest = sha256(repr(facts).encode()).hexdigest()[:16]

    @property
    def space(self) -> DesignSpace:
        """That of the base."""
        return self.base.space

    def predict(self, cards: Sequence[ModelCard]) -> Prediction:
        """What is predicted of each card; failures are part of the aleatoric deviation, the error of other cards.

        Raises:
            NotInSpaceError: a card is not in `space`.
        """
        found = self.base.predict(cards)
        return Prediction(
            mean=(self.intercept + self.slope * found.mean).round(DIGITS),
            epistemic_std=(abs(self.slope) * found.epistemic_std).round(DIGITS),
            aleatoric_std=np.full(len(cards), round(self._error, DIGITS)),
            failure_probability=np.zeros(len(cards)),
            in_support=found.in_support,
        )

    def draw(self, card: ModelCard, seed: int) -> float:
        """A score about the predicted one, by the error of other cards; the same for the same seed."""
        deviation = noise_of(card, seed, self._name).standard_normal()
        return round(float(self.predict([card]).mean[0] + self._error * deviation), DIGITS)

    def cost_seconds(self, cards: Sequence[ModelCard]) -> Array:
        """Predicted seconds up to the checkpoint: pre-training in proportion to its steps, and the fine-tuning."""
        share = FINETUNE_HOURS / TRAINING_HOURS
        return (self.base.cost_seconds(cards) * ((1 - share) * self._steps + share)).round(DIGITS)

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
