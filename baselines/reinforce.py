"""REINFORCE: a policy that makes the decisions of a card one by one, moved towards what scored high.

Williams (1992), "Simple statistical gradient-following algorithms for connectionist reinforcement learning"; Zoph & Le
(2017), "Neural architecture search with reinforcement learning", brought it to architectures, with a recurrent network
as the policy. Such a network learns little from a hundred values, so the published code of NAS-Bench-101 (Ying et al.
2019) and NAS-Bench-201 (Dong & Yang 2020) has a table of logits in its place, and draws each decision on its own. Here
the logits are linear in the decisions made before: no slower to learn, and still one distribution over whole cards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexnas_bench import DesignSpace, Optimizer, OptionError

Array = NDArray[np.float64]


class Policy:
    """Probabilities of cards: the product, over their decisions, of p(option | options taken before).

    Each factor is a softmax over the options of a decision, of logits linear in what was taken before.

    Args:
        space: whose decisions it makes.

    Attributes:
        weights: `(m, 1 + m)` for `m` options of all decisions together: what the logit of each (row) gains by a
            constant (column 0) and by each option taken before. Zero at first: all options are equally likely.
    """

    def __init__(self, space: DesignSpace) -> None:
        self.decisions = space.decisions
        self._rows: dict[str, slice] = {}
        end = 0
        for name, options in self.decisions.options.items():
            self._rows[name] = slice(end, end + len(options))
            end += len(options)
        self.weights: Array = np.zeros((end, 1 + end))

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """Options drawn for the decisions of a card."""
        values: dict[str, Any] = {}
        taken = self._nothing_taken()
        for name, options in self.decisions.options.items():
            if values and name not in self.decisions.names(values["layers"]):
                break
            chosen = int(rng.choice(len(options), p=np.exp(self._log_softmax(name, taken))))
            values[name] = options[chosen]
            self._take(name, chosen, taken)
        return values

    def log_probability(self, values: Mapping[str, Any]) -> float:
        """Of the card that has these options."""
        return sum(float(log_p[chosen]) for _, _, log_p, chosen in self._steps(values))

    def entropy(self, values: Mapping[str, Any]) -> float:
        """Sum of the entropies of the decisions, in nats, as they come up on the way to a card."""
        return -sum(float(np.exp(log_p) @ log_p) for _, _, log_p, _ in self._steps(values))

    def gradient(self, values: Mapping[str, Any], advantage: float, entropy_weight: float) -> Array:
        """Of `advantage * log_probability(values) + entropy_weight * entropy(values)`, in the shape of `weights`.

        By the logits of a decision of entropy H it is `advantage * (one_hot - p) - entropy_weight * p * (log p + H)`.
        """
        gradient = np.zeros_like(self.weights)
        for rows, taken, log_p, chosen in self._steps(values):
            p = np.exp(log_p)
            by_logits = -advantage * p - entropy_weight * p * (log_p - p @ log_p)
            by_logits[chosen] += advantage
            gradient[rows] = np.outer(by_logits, taken)
        return gradient

    def _steps(self, values: Mapping[str, Any]) -> Iterator[tuple[slice, Array, Array, int]]:
        """Of every decision: its rows, what was taken before, log-probabilities of its options, which one is taken."""
        taken = self._nothing_taken()
        for name, value in values.items():
            chosen = self.decisions.options[name].index(value)
            yield self._rows[name], taken, self._log_softmax(name, taken), chosen
            self._take(name, chosen, taken)

    def _nothing_taken(self) -> Array:
        """Input of the first decision: the constant alone."""
        taken = np.zeros(self.weights.shape[1])
        taken[0] = 1
        return taken

    def _take(self, name: str, chosen: int, taken: Array) -> None:
        taken[1 + self._rows[name].start + chosen] = 1

    def _log_softmax(self, name: str, taken: Array) -> Array:
        logits = self.weights[self._rows[name]] @ taken
        log_p: Array = logits - logits.max()
        log_p -= np.log(np.exp(log_p).sum())
        return log_p


class Reinforce(Optimizer):
    """REINFORCE: draws cards from a policy that every value told moves, by one step of gradient ascent.

    The step is for the decisions of the card told, so initial cards, nearest cards and cards of others teach as well,
    though they were not drawn from the policy.

    Args:
        space: the design space to search.
        rate: learning rate. The code of NAS-Bench-101 has 0.1; the larger one suits 40 to 100 evaluations rather than
            thousands (of 0.1, 0.2, 0.4 and 0.8 it did best overall on planted values in `homogeneous` and `g1`).
        decay: of the moving average that is the baseline (Zoph & Le, section 3.2); 0.9 in the code of NAS-Bench-101.
        entropy_weight: of the entropy added to what is ascended (Williams & Peng 1991), so that the policy does not
            settle too soon; between 0 and 0.1 it made no difference within 100 evaluations.
        attempts: most cards drawn for one proposal, until one is unseen.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(
        self,
        space: DesignSpace,
        *,
        rate: float = 0.4,
        decay: float = 0.9,
        entropy_weight: float = 0.01,
        attempts: int = 20,
        **common: Any,
    ) -> None:
        super().__init__(space, **common)
        if not rate > 0 or not entropy_weight >= 0 or attempts < 1:
            raise OptionError("rate and attempts must be positive, and entropy_weight not negative")
        if not 0 <= decay <= 1:
            raise OptionError(f"decay {decay} is not between 0 and 1")
        self.rate, self.decay, self.entropy_weight, self.attempts = rate, decay, entropy_weight, attempts
        self.policy = Policy(space)

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:  # noqa: ARG002 - one a call will do
        """Index of a card drawn from the policy, or, if all that were drawn are seen, of the unseen one nearest to it.

        In a listed space, which has hardly any of the cards that can be drawn, it is the nearest to the first.
        """
        seen = self.seen
        for _ in range(self.attempts):
            card = self.space.decisions.card(self.policy.sample(rng))
            if card not in self.space or self.space.index(card) not in seen:
                break
        return [self.nearest_unseen(card, rng)]

    def observe(self, index: int, value: float) -> None:
        """Moves the policy towards a card that is better than usual, or away from one that is worse."""
        if math.isnan(value):
            return
        gain = advantage([self.values[i] for i in self.succeeded], self.decay)
        values = self.space.decisions.of(self.space[index])
        self.policy.weights += self.rate * self.policy.gradient(values, gain, self.entropy_weight)


def advantage(values: Sequence[float], decay: float) -> float:
    """How far the last value is above those before it; 0 if it is the first, or all are equal.

    The baseline is the exponential moving average of the values before, which are all discounted by their age. What
    the last one has beyond it is divided by the root mean square distance of all values from it, discounted alike:
    accuracies of 0 to 1 and of 0 to 100 teach the same, and nothing is beyond 1 / sqrt(1 - decay), about 3.
    """
    gaps = values[-1] - np.asarray(values)  # of differences, as then equal values give exactly zero
    if not gaps.any():
        return 0.0
    weights = decay ** np.arange(len(gaps))[::-1]
    above = np.average(gaps[:-1], weights=weights[1:])
    return float(above / np.sqrt(np.average((gaps - above) ** 2, weights=weights)))
