"""Regularised evolution: tournaments among the youngest, mutation, and death by age (Real et al., AAAI 2019)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flexnas_bench import DesignSpace, Optimizer, OptionError


class Evolution(Optimizer):
    """Regularised evolution: the best of a few among the youngest cards has a mutant child, and the oldest dies.

    The population are the cards told last, so that it follows from the history (Algorithm 1 of Real et al. 2019).

    Args:
        space: the design space.
        population: cards that live at a time. Real et al. have 100 for budgets of 20,000; 10 suits budgets of 100, and
            is as many as there are initial cards.
        sample: cards drawn from the population, with replacement, of which the best becomes a parent. Real et al. draw
            a quarter of the population; of the sizes tried on `pool` the whole population did best.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(self, space: DesignSpace, *, population: int = 10, sample: int = 10, **common: Any) -> None:
        super().__init__(space, **common)
        if population < 1 or sample < 1:
            raise OptionError(f"population {population} and sample {sample} must be positive")
        self.population, self.sample = population, sample

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """A mutant child; random cards while there are fewer than a population."""
        alive = self.succeeded[-self.population :]
        if len(alive) < self.population:
            return self.draw_unseen(n, rng)
        contestants = rng.choice(alive, self.sample)
        parent = self.space[self.indices[max(contestants, key=self.values.__getitem__)]]
        return [self.nearest_unseen(self.space.mutate(parent, rng), rng)]
