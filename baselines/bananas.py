"""BANANAS: Bayesian optimisation with an ensemble of small networks (White, Neiswanger and Savani, AAAI 2021).

The paper encodes a cell, which is a graph, by the paths from its input to its output. A card is a sequence of layers
and has one such path: encoded by it, no two cards would have anything in common. Vectors of the embedding stand in.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexnas_bench import DesignSpace, Optimizer, OptionError, reproducible


class Bananas(Optimizer):
    """BANANAS: mutants of the best cards, ranked by independent Thompson sampling of an ensemble (Algorithm 1).

    Every proposal fits the ensemble afresh to all that was told, mutates the best cards told, draws a value for each
    mutant from the normal distribution that the ensemble predicts, and takes the highest.

    Defaults are those of the authors' code (github.com/naszilla/naszilla), but for what follows. It mutates the best
    card until there are 100 new ones, but a card of G1 has 18 neighbours: here ten parents take turns, as many as in
    its first version. Its mutations change one edge and one operation of a cell on average; here, one or two decisions.
    It fits in minibatches of 32; here every step sees all points, which up to 32 is the same and beyond predicts as
    well in less time.

    Args:
        space: the design space.
        networks: size of the ensemble.
        layers: hidden layers of a network.
        width: units of each.
        steps: steps of Adam.
        rate: learning rate of Adam.
        candidates: mutants looked at; fewer where some coincide.
        parents: best cards that are mutated.
        mutations: most mutations of a mutant; how many is drawn.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(
        self,
        space: DesignSpace,
        *,
        networks: int = 5,
        layers: int = 10,
        width: int = 20,
        steps: int = 150,
        rate: float = 0.01,
        candidates: int = 100,
        parents: int = 10,
        mutations: int = 2,
        **common: Any,
    ) -> None:
        super().__init__(space, **common)
        if min(networks, layers, width, steps, candidates, parents, mutations) < 1 or not rate > 0:
            raise OptionError(f"all options of {type(self).__name__} must be positive")
        self.networks, self.layers, self.width = networks, layers, width
        self.steps, self.rate = steps, rate
        self.candidates, self.parents, self.mutations = candidates, parents, mutations

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Up to `n` mutants of the highest values drawn; random cards as long as no evaluation has succeeded."""
        if not self.succeeded:
            return self.draw_unseen(n, rng)
        mutants = self.mutants(rng)
        with reproducible(int(rng.integers(2**63))):
            predictions = self.fit().predict(self._features(mutants))
        values = thompson(predictions, rng)
        return [mutants[i] for i in np.argsort(-values, kind="stable")[:n]]

    def mutants(self, rng: np.random.Generator) -> list[int]:
        """Indices of different unseen cards: mutants of the best cards told, or the nearest to them that are unseen."""
        ranked = sorted(self.succeeded, key=self.values.__getitem__, reverse=True)
        parents = [self.space[self.indices[i]] for i in ranked[: self.parents]]
        found: dict[int, None] = {}
        for i in range(self.candidates):
            card = parents[i % len(parents)]
            for _ in range(rng.integers(1, self.mutations, endpoint=True)):
                card = self.space.mutate(card, rng)
            found[self.nearest_unseen(card, rng)] = None
        return list(found)

    def fit(self) -> "Ensemble":
        """An ensemble fitted to all evaluations that succeeded; draws its first weights from torch's generator."""
        values = np.array([self.values[i] for i in self.succeeded])
        targets = (values - values.mean()) / (values.std() or 1.0)
        x = self._features([self.indices[i] for i in self.succeeded])
        ensemble = Ensemble(x.shape[1], self.networks, self.layers, self.width)
        ensemble.fit(x, torch.tensor(targets, dtype=x.dtype), self.steps, self.rate)
        return ensemble

    def _features(self, indices: Sequence[int]) -> Tensor:
        return torch.from_numpy(self.embedding.features_of([self.space[i] for i in indices]))


class Ensemble:
    """Feed-forward ReLU networks of one shape, computed side by side in one tensor.

    Weights begin as in the authors' code, uniform by Glorot and Bengio 2010 (equation 16), biases at zero.

    Args:
        inputs: length of an input vector.
        networks: how many.
        layers: hidden layers of each.
        width: units of a hidden layer.
    """

    def __init__(self, inputs: int, networks: int, layers: int, width: int) -> None:
        sizes = [inputs, *[width] * layers, 1]
        bounds = [math.sqrt(6 / (a + b)) for a, b in pairwise(sizes)]
        shapes = [(networks, a, b) for a, b in pairwise(sizes)]
        self.weights = [torch.empty(shape).uniform_(-bound, bound) for shape, bound in zip(shapes, bounds, strict=True)]
        self.biases = [torch.zeros(networks, 1, b) for b in sizes[1:]]

    def __call__(self, x: Tensor) -> Tensor:
        """Predictions `(networks, n)` of inputs `(n, inputs)`."""
        out = x.expand(len(self.weights[0]), *x.shape)
        for bias, weight in zip(self.biases[:-1], self.weights[:-1], strict=True):
            out = torch.baddbmm(bias, out, weight).relu()
        return torch.baddbmm(self.biases[-1], out, self.weights[-1]).squeeze(-1)

    def predict(self, x: Tensor) -> NDArray[np.float64]:
        """Predictions `(networks, n)` as an array."""
        with torch.no_grad():
            return self(x).double().numpy()

    def fit(self, x: Tensor, y: Tensor, steps: int, rate: float) -> None:
        """Fits every network to targets `(n,)` by the mean absolute error, with Adam on all points at once."""
        parameters = [parameter.requires_grad_() for parameter in (*self.weights, *self.biases)]
        adam = torch.optim.Adam(parameters, rate, betas=(0.9, 0.99), fused=True)  # betas of the authors' code
        for _ in range(steps):
            adam.zero_grad()
            (self(x) - y).abs().mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]  # torch has no hints
            adam.step()


def thompson(predictions: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Independent Thompson sampling: a draw `(n,)` from the normal distribution of each point's predictions.

    Args:
        predictions: of an ensemble, `(networks, n)`.
        rng: draws.
    """
    draws: NDArray[np.float64] = rng.normal(predictions.mean(axis=0), predictions.std(axis=0))
    return draws
