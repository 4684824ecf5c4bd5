"""Local search: try the neighbours of the best card (White, Nolen and Savani, UAI 2021)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flexnas_bench import DesignSpace, Optimizer, OptionError


class LocalSearch(Optimizer):
    """Local search: goes to a neighbour as soon as it is better, and starts elsewhere when none is.

    That is the variant which moves at the first better neighbour. In a listed space, where hardly two cards differ in
    a single decision, the nearest unseen cards are the neighbours.

    Args:
        space: the design space.
        patience: cards tried around one in vain before the next climb begins at a random card. A four-layer card of G1
            has 18 neighbours, which is where the authors stop; looking a little further was better on `pool`.
            With more initial cards than that, their number.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(self, space: DesignSpace, *, patience: int = 30, **common: Any) -> None:
        super().__init__(space, **common)
        if patience < 1:
            raise OptionError(f"patience {patience} must be positive")
        self.patience = patience
        self._top: int | None = None  # index of the best card of this climb
        self._height, self._tries = -math.inf, 0

    def observe(self, index: int, value: float) -> None:
        """Moves to a better card, or loses patience."""
        if value > self._height:
            self._top, self._height, self._tries = index, value, 0
            return
        self._tries += 1
        if self._tries >= max(self.patience, self.initial_size):
            self._top, self._height, self._tries = None, -math.inf, 0

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """An unseen card near the best of this climb, or a random one to begin with."""
        if self._top is None:
            return self.draw_unseen(n, rng)
        return [self.nearest_unseen(self.space[self._top], rng)]
