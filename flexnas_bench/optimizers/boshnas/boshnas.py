"""BOSHNAS: Bayesian optimisation with second-order gradients and heteroscedastic models (paper section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexnas_bench.embedding.base import MATRIX_LIMIT
from flexnas_bench.errors import OptionError
from flexnas_bench.optimizers.base import Optimizer
from flexnas_bench.optimizers.boshnas.adahessian import adahessian_maximise
from flexnas_bench.optimizers.boshnas.surrogate import Surrogate
from flexnas_bench.optimizers.convergence import calm_iterations
from flexnas_bench.predictors.seeding import reproducible
from flexnas_bench.space import DesignSpace, climb

_SAMPLE, _BEAM = 1_000, 2  # cards that stand for a space that nobody can list; cards a climb goes on from


class Boshnas(Optimizer):
    """Algorithm 1 of the paper: a surrogate of three networks, climbed by its gradients with respect to the input.

    With probability 1 - alpha - beta a query comes from GOBI: the upper confidence bound is climbed with
    AdaHessian from cold restarts, every point reached gives way to the nearest card not yet seen, and of those
    cards the ones with the highest bound are taken. With probability alpha it is the most uncertain card, with
    probability beta a random one.

    While other cards are being evaluated, the surrogate is fitted a second time, with these at the scores that the
    first fit predicts (the kriging believer of Ginsbourger et al. 2010), lest workers are sent to one place. In a
    space of more than 100,000 cards, of which nobody has a matrix, a point gives way to the nearest unseen card that
    local search over neighbours finds.

    Args:
        space: the design space.
        k1: weight of the aleatoric deviation sigma in the bound, equation (1); 0.5 in section 4.1.
        k2: weight of the epistemic deviation xi; 0.5 in section 4.1.
        alpha: probability of uncertainty sampling; 0.1 in section 4.1.
        beta: probability of diversity sampling; 0.1 in section 4.1.
        restarts: random cold restarts of GOBI, climbed together in one tensor; 0 takes the cards of the highest bound
            without GOBI, which in a space of up to 100,000 cards means to look at all of them: an ablation of ours.
        gobi_steps: most AdaHessian steps of a restart.
        gobi_rate: learning rate of those steps.
        aleatoric_after: iterations without a better score after which sigma counts, as section 3.4.1 has a use for it
            close to the optimum; 0 counts it always, as equation (1) reads.
        second_order: whether GOBI divides by the Hessian's diagonal (AdaHessian); otherwise by the gradient's
            squares, as Adam does: the ablation of Figure 4(b).
        heteroscedastic: whether the mean comes from an NPN with its sigma; otherwise from a plain network, and sigma
            is 0: the other ablation.
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
        aleatoric_after: int = 3,
        second_order: bool = True,
        heteroscedastic: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(space, **common)
        if not (alpha >= 0 and beta >= 0 and alpha + beta <= 1):
            raise OptionError(f"alpha {alpha} and beta {beta} are not probabilities that leave any for GOBI")
        if restarts < 0 or gobi_steps < 1 or not gobi_rate > 0:
            raise OptionError("gobi_steps and gobi_rate must be positive, and restarts not negative")
        if aleatoric_after < 0:
            raise OptionError(f"aleatoric_after: {aleatoric_after} is less than 0")
        self.k1, self.k2, self.alpha, self.beta = k1, k2, alpha, beta
        self.restarts, self.gobi_steps, self.gobi_rate = restarts, gobi_steps, gobi_rate
        self.aleatoric_after, self.second_order, self.heteroscedastic = aleatoric_after, second_order, heteroscedastic
        self._listed = space.size <= MATRIX_LIMIT
        self._sample = [] if self._listed else space.sample(_SAMPLE, seed=self.seed)
        features = self.embedding.features if self._listed else self.embedding.features_of(self._sample)
        self.candidates = torch.from_numpy(features.copy())
        self._box = self.candidates.amin(dim=0), self.candidates.amax(dim=0)

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Up to `n` unseen indices, by Algorithm 1."""
        chance = rng.random()
        if chance >= 1 - self.beta or not self.succeeded:  # line 18, diversity sampling
            return self.draw_unseen(n, rng)
        with reproducible(int(rng.integers(2**63))):
            surrogate, k1 = self.fit(), self._k1()
            uncertain = chance >= 1 - self.alpha - self.beta  # line 15, uncertainty sampling
            if uncertain or not self.restarts:
                score = surrogate.uncertainty if uncertain else surrogate.ucb
                return self.highest_unseen(lambda x: score(torch.from_numpy(x), k1, self.k2).numpy(), n, rng)
            chosen = self._decode(self.gobi(surrogate, k1), rng)  # line 7
            bounds = surrogate.ucb(self._features(chosen), k1, self.k2)
        return [chosen[i] for i in torch.argsort(bounds, descending=True, stable=True)[:n].tolist()]

    def fit(self) -> Surrogate:
        """The surrogate of what was told (line 6, equation 2), and of what is pending as that predicts it."""
        history = self.succeeded
        x = self._features([self.indices[i] for i in history])
        y = torch.tensor([self.values[i] for i in history], dtype=x.dtype)
        surrogate = Surrogate(x, y, self.candidates, heteroscedastic=self.heteroscedastic)
        if not self.pending:
            return surrogate
        ahead = self._features(self.pending)
        x, y = torch.cat([x, ahead]), torch.cat([y, surrogate.mean(ahead)])
        return Surrogate(x, y, self.candidates, heteroscedastic=self.heteroscedastic)

    def gobi(self, surrogate: Surrogate, k1: float) -> Tensor:
        """Gradient-based optimisation using backpropagation to the input: `(restarts, d)` points reached.

        Restarts begin at random cards and stay in the smallest box around the space.
        """
        starts = torch.randint(len(self.candidates), (self.restarts,))
        return adahessian_maximise(
            lambda x: surrogate.ucb(x, k1, self.k2),
            self.candidates[starts],
            steps=self.gobi_steps,
            learning_rate=self.gobi_rate,
            low=self._box[0],
            high=self._box[1],
            second_order=self.second_order,
        )

    def _k1(self) -> float:
        """The weight of sigma: none while the search is not close to convergence."""
        if not self.aleatoric_after:
            return self.k1
        *_, calm = calm_iterations(self.values, self.initial_size)
        return self.k1 if calm >= self.aleatoric_after else 0.0

    def _features(self, indices: Sequence[int]) -> Tensor:
        if self._listed:
            return self.candidates[list(indices)]
        return torch.from_numpy(self.embedding.features_of([self.space[i] for i in indices]))

    def _decode(self, points: Tensor, rng: np.random.Generator) -> list[int]:
        """Indices of the unseen cards nearest to the points, each once."""
        if self._listed:
            free = self.unseen()
            return sorted(set(free[torch.cdist(points, self.candidates[free]).argmin(dim=1).numpy()].tolist()))
        starts = [self._sample[i] for i in torch.cdist(points, self.candidates).argmin(dim=1).tolist()]
        found, nearness = climb(
            self.space,
            starts,
            lambda cards: -torch.cdist(torch.from_numpy(self.embedding.features_of(cards)), points).numpy(),
            _BEAM,
        )
        seen = self.seen
        fresh = [i for i, card in enumerate(found) if self.space.index(card) not in seen]
        if not fresh:
            return [self.nearest_unseen(found[0], rng)]
        return sorted({self.space.index(found[fresh[i]]) for i in nearness[fresh].argmax(axis=0)})
