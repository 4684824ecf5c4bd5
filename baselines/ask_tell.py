"""Samplers over named choices, such as those of libraries for hyperparameters, as optimizers."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flexnas_bench import Optimizer


class AskTell(Optimizer):
    """Stands between a benchmark of cards and a sampler that suggests and learns options of named decisions.

    A subclass writes `suggest` and `learn`, in terms of `space.decisions`: its `options` are the decisions with all
    their options, `names(layers)` says which of them a card of so many layers has.
    """

    @abstractmethod
    def suggest(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """An option for each decision of a card; further ones are ignored. Called once a value is known."""

    @abstractmethod
    def learn(self, values: Mapping[str, Any], score: float | None) -> None:
        """Called once for every card told, in order: its options, and its value or `None` if the evaluation failed."""

    @property
    def running(self) -> list[dict[str, Any]]:
        """Options of the cards asked and not yet told, in the order of asking."""
        return [self._values(index) for index in self.pending]

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Index of the unseen card nearest to the one suggested: itself, unless it was seen or a list lacks it."""
        if not self.succeeded:
            return self.draw_unseen(n, rng)
        return [self.nearest_unseen(self.space.decisions.card(self.suggest(rng)), rng)]

    def observe(self, index: int, value: float) -> None:
        """Hands on what was told."""
        self.learn(self._values(index), None if math.isnan(value) else value)

    def _values(self, index: int) -> dict[str, Any]:
        return self.space.decisions.of(self.space[index])
