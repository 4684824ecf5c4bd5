"""The trivial rule: take the deepest and widest cards, in random order."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flexnas_bench import DesignSpace, ModelCard, Optimizer

_LISTED = 100_000  # spaces up to this size are looked at card by card


class DeepWide(Optimizer):
    """Random search among the deepest cards with the greatest hidden sizes, and when these are used up, the next.

    The rule that any method must beat: larger models score higher, whatever else they are made of.

    Args:
        space: the design space.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(self, space: DesignSpace, **common: Any) -> None:
        super().__init__(space, **common)
        self._sizes = np.array([_size(card) for card in space]) if space.size <= _LISTED else None

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Up to `n` unseen cards, the largest there are, drawn uniformly."""
        if self._sizes is None:
            return [self.nearest_unseen(self._draw(rng), rng)]
        free = rng.permutation(self.unseen())
        order = np.lexsort(-self._sizes[free].T[::-1])  # stable: by layers, and of equal ones by hidden sizes
        return [int(i) for i in free[order[:n]]]

    def _draw(self, rng: np.random.Generator) -> ModelCard:
        """A random one of the deepest and widest cards of a space that is too large to list."""
        decisions = self.space.decisions
        values = {name: options[int(rng.integers(len(options)))] for name, options in decisions.options.items()}
        values["layers"] = max(self.space.choices.layers)
        for name, options in decisions.options.items():
            if name.endswith(".size"):
                widest = [size for size in options if size[0] == max(options)[0]]
                values[name] = widest[int(rng.integers(len(widest)))]
        return decisions.card(values)


def _size(card: ModelCard) -> tuple[int, int]:
    return card.num_layers, sum(layer.hidden for layer in card.layers)
