"""Simulated annealing (Kirkpatrick et al. 1983), as somebody else would plug it in."""

import math
from collections.abc import Sequence

import numpy as np

from flexnas_bench import Optimizer


class Annealing(Optimizer):
    """Mutates the current card and moves on to what is better, or, while it is warm, not much worse."""

    def __init__(self, space, *, temperature: float = 0.5, cooling: float = 0.95, **common):
        super().__init__(space, **common)
        self.temperature, self.cooling = temperature, cooling
        self.current: tuple[int, float] | None = None  # index and value

    def observe(self, index: int, value: float) -> None:
        if math.isnan(value):
            return
        rng = np.random.default_rng([self.seed, len(self.values)])
        warmth = self.temperature * self.cooling ** len(self.values)
        worse = 0.0 if self.current is None else self.current[1] - value
        if worse <= 0 or rng.random() < math.exp(-worse / warmth):
            self.current = index, value

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        if self.current is not None:
            for _ in range(50):
                neighbor = self.space.index(self.space.mutate(self.space[self.current[0]], rng))
                if neighbor not in self.seen:
                    return [neighbor]
        return self.draw_unseen(n, rng)
