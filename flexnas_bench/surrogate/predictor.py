"""What a model of scores must know to answer for cards that nobody trained."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.space import DesignSpace

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """What is predicted of `n` cards, each `(n,)`.

    Attributes:
        mean: what a training scores on average, failed ones included, in points.
        epistemic_std: standard deviation of that mean, which more trainings would make smaller, above all those of the
            card itself.
        aleatoric_std: standard deviation of the score of one training about it, failed ones included.
        failure_probability: that a training fails.
        in_support: whether trained cards have all that the card has (see `Support`).
    """

    mean: Array
    epistemic_std: Array
    aleatoric_std: Array
    failure_probability: Array
    in_support: NDArray[np.bool_]

    @property
    def std(self) -> Array:
        """Standard deviation of the score of one training, of both kinds."""
        return np.hypot(self.epistemic_std, self.aleatoric_std)


def noise_of(card: ModelCard, seed: int, name: str) -> np.random.Generator:
    """The generator of the noise of one training of a card, the same for the same seed and name of what is scored."""
    return np.random.default_rng([seed, int(card.hash[:16], 16), zlib.crc32(name.encode())])


class Predictor(Protocol):
    """A model of scores, as `Benchmark.with_surrogate` takes it; `Surrogate` is the one of this package.

    Attributes:
        space: the design space of all cards that it can describe.
        source: keys of the sources of the scores behind it, parted by commas.
        digest: a text that differs for models which predict otherwise.
    """

    @property
    def space(self) -> DesignSpace: ...  # noqa: D102 - above

    @property
    def source(self) -> str: ...  # noqa: D102 - above

    @property
    def digest(self) -> str: ...  # noqa: D102 - above

    def predict(self, cards: Sequence[ModelCard]) -> Prediction:
        """What is predicted of each card; raises `NotInSpaceError`."""
        ...

    def draw(self, card: ModelCard, seed: int) -> float:
        """The score of one training, the same for the same card and seed; raises `NotInSpaceError`."""
        ...

    def cost_seconds(self, cards: Sequence[ModelCard]) -> Array:
        """Seconds of a training of each card, NaN where that is not known; raises `NotInSpaceError`."""
        ...

    def lacking(self, card: ModelCard) -> list[str]:
        """What a card has that trained cards lack, in words; nothing of a card in support."""
        ...

    def expected(self, card: ModelCard) -> float:
        """What another training of a card would score on average, best guess."""
        ...
