"""BOSHNAS: Bayesian optimisation with second-order gradients and heteroscedastic models (paper section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexnas_bench.errors import OptionError
from flexnas_bench.optimizers.base import Optimizer
from flexnas_bench.optimizers.boshnas.adahessian import adahessian_maximise
from flexnas_bench.optimizers.boshnas.surrogate import Surrogate
from flexnas_bench.predictors.seeding import reproducible
from flexnas_bench.space import DesignSpace


class Boshnas(Optimizer):
    """Algorithm 1 of the paper: a surrogate of three networks, climbed by its gradients with respect to the input.

    With probability 1 - alpha - beta a query comes from GOBI: the upper confidence bound is climbed with
    AdaHessian from cold restarts, every point reached gives way to the nearest card not yet seen, and of those
    cards the ones with the highest bound are taken. With probability alpha it is the most uncertain card, with
    probability beta a random one.

    Args:
        space: the design space; its embedding matrix must fit in memory (up to 100,000 cards).
        k1: weight of the aleatoric deviation sigma in the bound, equation (1); 0.5 in section 4.1.
        k2: weight of the epistemic deviation xi; 0.5 in section 4.1.
        alpha: probability of uncertainty sampling; 0.1 in section 4.1.
        beta: probability of diversity sampling; 0.1 in section 4.1.
        restarts: random cold restarts of GOBI, climbed together in one tensor.
        gobi_steps: most AdaHessian steps of a restart.
        gobi_rate: learning rate of those steps.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(
        self,
        space: DesignSpace,
        *,
        k1: float = 0.5,
        k2: float = 0.5,
        alpha: float = 0.1,
        beta: float = 0.1,
        restarts: int = 10,
        gobi_steps: int = 25,
        gobi_rate: float = 0.2,
        **common: Any,
    ) -> None:
        super().__init__(space, **common)
        if not (alpha >= 0 and beta >= 0 and alpha + beta <= 1):
            raise OptionError(f"alpha {alpha} and beta {beta} are not probabilities that leave any for GOBI")
        if restarts < 1 or gobi_steps < 1 or not gobi_rate > 0:
            raise OptionError("restarts, gobi_steps and gobi_rate must be positive")
        self.k1, self.k2, self.alpha, self.beta = k1, k2, alpha, beta
        self.restarts, self.gobi_steps, self.gobi_rate = restarts, gobi_steps, gobi_rate
        self.candidates = torch.from_numpy(self.embedding.features.copy())
        self._box = self.candidates.amin(dim=0), self.candidates.amax(dim=0)

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Up to `n` unseen indices, by Algorithm 1."""
        chance = rng.random()
        history = self.succeeded
        if chance >= 1 - self.beta or not history:  # line 18, diversity sampling
            return self.draw_unseen(n, rng)
        free = self.unseen()
        with reproducible(int(rng.integers(2**63))):
            surrogate = self.fit(history)
            if chance >= 1 - self.alpha - self.beta:  # line 15, uncertainty sampling
                scores = surrogate.uncertainty(self.candidates[free], self.k1, self.k2)
                chosen = np.arange(len(free))
            else:  # line 7
                chosen = self._nearest(self.gobi(surrogate), free)
                scores = surrogate.ucb(self.candidates[free[chosen]], self.k1, self.k2)
        ranked = chosen[torch.argsort(scores, descending=True, stable=True).numpy()]
        return [int(i) for i in free[ranked[:n]]]

    def fit(self, history: Sequence[int]) -> Surrogate:
        """The surrogate of these positions of the history (line 6, equation 2)."""
        seen = self.candidates[[self.indices[i] for i in history]]
        values = torch.tensor([self.values[i] for i in history], dtype=seen.dtype)
        return Surrogate(seen, values, self.candidates)

    def gobi(self, surrogate: Surrogate) -> Tensor:
        """Gradient-based optimisation using backpropagation to the input: `(restarts, d)` points reached.

        Restarts begin at random cards and stay in the smallest box around the space.
        """
        starts = torch.randint(len(self.candidates), (self.restarts,))
        return adahessian_maximise(
            lambda x: surrogate.ucb(x, self.k1, self.k2),
            self.candidates[starts],
            steps=self.gobi_steps,
            learning_rate=self.gobi_rate,
            low=self._box[0],
            high=self._box[1],
        )

    def _nearest(self, points: Tensor, free: np.ndarray) -> np.ndarray:
        """Positions in `free` of the unseen cards nearest to the points, each once."""
        return np.unique(torch.cdist(points, self.candidates[free]).argmin(dim=1).numpy())
