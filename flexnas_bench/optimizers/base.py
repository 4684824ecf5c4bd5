"""What every optimizer is: something that is asked for cards and told their values."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import MATRIX_LIMIT, Embedding, Vectors
from flexnas_bench.embedding.loading import check_embedding, load_embedding
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import OptionError, ProposalError, SpaceExhaustedError, shown
from flexnas_bench.named import PAPER12
from flexnas_bench.space import DesignSpace, climb

#: Cards that an optimizer draws before it proposes, unless told otherwise.
INITIAL = 10
_INITIAL_STREAM = 2**32 - 1  # keeps the draw of the initial cards apart from the streams of the steps
_STARTS, _BEAM = 1_000, 10
#: Scores points as rows of features; higher is better.
Score = Callable[[Vectors], NDArray[np.floating]]


class Optimizer(ABC):
    """Base of all optimizers; the cycle is ask, evaluate, tell.

    1. `ask(n)` hands out `n` different cards that were neither handed out nor told before: first the
       initial ones, which for one seed are the same whatever the optimizer, then those that `propose` picks.
    2. The caller evaluates them, in any order, and calls `tell(cards, values)`. Values are maximised; NaN says
       that an evaluation failed. Cards that were never asked for may be told too.

    A subclass writes `propose` and may override `observe`. What `propose` returns may depend on the space, on
    the seed, on what was told and on what is pending, and on nothing else: then telling a history again restores the
    state, which is how an interrupted search resumes. Random numbers come from the generator it is handed, which is
    made afresh from the seed and the number of cards seen.

    Args:
        space: the design space to search.
        seed: whole number, 0 or more; the same seed gives the same proposals.
        embedding: vectors of cards, or the name of an embedding; for optimizers that use vectors.
        initial: cards to begin with, how many to draw, or `"paper12"`, the paper's 12 initial models (section 4.2)
            or, in a listed space, the cards nearest to them; `None` draws 10.
    """

    def __init__(
        self,
        space: DesignSpace,
        *,
        seed: int = 0,
        embedding: Embedding | str = OneHot.name,
        initial: Sequence[ModelCard] | int | str | None = None,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
            raise OptionError(f"seed: {shown(seed)} is not a whole number, 0 or more")
        if isinstance(embedding, str):
            check_embedding(embedding)
        self.space = space
        self.seed = int(seed)
        self.indices: list[int] = []  # of the cards told, in that order
        self.values: list[float] = []
        self._embedding = embedding
        self._seen: dict[int, bool] = {}  # asked or told, in order; whether told
        self._seen_cards: set[ModelCard] = set()
        self._initial = self._initial_indices(INITIAL if initial is None else initial)

    @abstractmethod
    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Picks up to `n` different indices of unseen cards, at least one (see `seen`, `indices`, `values`)."""

    def observe(self, index: int, value: float) -> None:  # noqa: B027 - optional: most optimizers read the history
        """Called once for every value told, in order; for optimizers that learn as they go."""

    def ask(self, n: int = 1) -> list[ModelCard]:
        """The next `n` cards to evaluate.

        Raises:
            OptionError: `n` is less than 1.
            SpaceExhaustedError: fewer than `n` cards are left.
            ProposalError: the optimizer's `propose` broke its contract.
        """
        if n < 1:
            raise OptionError(f"cannot ask for {n} cards")
        if n > self.space.size - len(self._seen):
            left = self.space.size - len(self._seen)
            raise SpaceExhaustedError(f"asked for {n} cards, but {left} of space {self.space.name} are left")
        cards: list[ModelCard] = []
        while len(cards) < n:
            waiting = [i for i in self._initial if i not in self._seen]
            rng = np.random.default_rng([self.seed, len(self._seen)])
            more = n - len(cards)
            chosen = waiting[:more] or self._checked(self.propose(more, rng), more)
            asked = [self.space[i] for i in chosen]
            self.mark_pending(asked)
            cards += asked
        return cards

    def mark_pending(self, cards: Sequence[ModelCard]) -> None:
        """Says that cards are being evaluated, as `ask` does of those that it hands out; raises `NotInSpaceError`."""
        for i, card in [(self.space.index(card), card) for card in cards]:
            self._seen.setdefault(i, False)
            self._seen_cards.add(card)

    def _checked(self, chosen: Sequence[int], n: int) -> list[int]:
        """What `propose` returned, if it kept to its contract."""
        try:
            indices = [operator.index(i) for i in chosen]
        except TypeError:
            raise ProposalError(f"{type(self).__name__}.propose returned {chosen!r:.80}, no whole numbers") from None
        fresh = {i for i in indices if i not in self._seen and 0 <= i < self.space.size}
        if not 1 <= len(indices) <= n or len(fresh) < len(indices):
            raise ProposalError(
                f"{type(self).__name__}.propose was asked for up to {n} different unseen indices "
                f"and returned {indices[:10]}"
            )
        return indices

    def tell(self, cards: Sequence[ModelCard], values: Sequence[float]) -> None:
        """Reports values of cards, NaN for a failed evaluation.

        Raises:
            OptionError: not as many values as cards, or an infinite one.
            NotInSpaceError: a card is not in the space.
        """
        if len(cards) != len(values):
            raise OptionError(f"told {len(values)} values for {len(cards)} cards")
        if any(math.isinf(value) for value in values):
            raise OptionError("a value is infinite; NaN says that an evaluation failed")
        self.mark_pending(cards)
        for i, value in [(self.space.index(card), float(value)) for card, value in zip(cards, values, strict=True)]:
            self._seen[i] = True
            self.indices.append(i)
            self.values.append(value)
            self.observe(i, value)

    @property
    def initial_size(self) -> int:
        """Number of initial cards."""
        return len(self._initial)

    @property
    def seen(self) -> frozenset[int]:
        """Indices of all cards asked or told."""
        return frozenset(self._seen)

    @property
    def pending(self) -> list[int]:
        """Indices of the cards asked and not yet told, in the order of asking."""
        return [i for i, told in self._seen.items() if not told]

    @property
    def embedding(self) -> Embedding:
        """The embedding, loaded over the space when first used."""
        if isinstance(self._embedding, str):
            self._embedding = load_embedding(self._embedding, self.space)
        return self._embedding

    @property
    def succeeded(self) -> list[int]:
        """Positions in the history (`indices`, `values`) whose evaluation did not fail."""
        return [i for i, value in enumerate(self.values) if not math.isnan(value)]

    def unseen(self) -> np.ndarray:
        """Indices of all cards neither asked nor told, in order; for spaces small enough to list."""
        free = np.ones(self.space.size, dtype=bool)
        free[list(self._seen)] = False
        return np.flatnonzero(free)

    def draw_unseen(self, n: int, rng: np.random.Generator) -> list[int]:
        """Up to `n` different unseen indices, drawn uniformly."""
        left = self.space.size - len(self._seen)
        if 2 * len(self._seen) > self.space.size:  # then drawing until one is free would take long
            return [int(i) for i in rng.choice(self.unseen(), size=min(n, left), replace=False)]
        drawn: dict[int, None] = {}
        while len(drawn) < min(n, left):
            i = self.space.sample_index(rng)
            if i not in self._seen:
                drawn[i] = None
        return list(drawn)

    def nearest_unseen(self, card: ModelCard, rng: np.random.Generator) -> int:
        """Index of an unseen card that differs from one in as few decisions as any, drawn among equals.

        Args:
            card: any card, but in a space of products one of its own (see `DesignSpace.nearest`).
            rng: draws.
        """
        return self.space.index(self.space.nearest(card, self._seen_cards, rng))

    def highest_unseen(self, score: Score, n: int, rng: np.random.Generator) -> list[int]:
        """Indices of the `n` unseen cards of the highest scores, the highest first, drawn among equals.

        In a space of more than 100,000 cards these are the best that local search over neighbours finds, from the best
        of 1,000 random cards and of the cards told.

        Args:
            score: of features `(m, d)` (see `Embedding.features_of`), an array `(m,)`.
            n: how many; fewer if no more are left, or were looked at.
            rng: draws.
        """
        if self.space.size <= MATRIX_LIMIT:
            free = rng.permutation(self.unseen())
            ranked = np.argsort(-score(self.embedding.features[free]), kind="stable")
            return [int(i) for i in free[ranked[:n]]]
        starts = [*self._best_told(), *(self.space[self.space.sample_index(rng)] for _ in range(_STARTS))]
        first = score(self.embedding.features_of(starts))
        starts = [starts[i] for i in np.argsort(-first, kind="stable")[:_BEAM]]
        found, scores = climb(
            self.space, starts, lambda cards: score(self.embedding.features_of(cards))[:, None], _BEAM
        )
        best = (found[i] for i in np.argsort(-scores[:, 0], kind="stable") if found[i] not in self._seen_cards)
        return [self.space.index(card) for card in islice(best, n)]

    def _best_told(self) -> list[ModelCard]:
        ranked = sorted(self.succeeded, key=self.values.__getitem__, reverse=True)
        return [self.space[self.indices[i]] for i in ranked[:_BEAM]]

    def _initial_indices(self, initial: Sequence[ModelCard] | int | str) -> list[int]:
        if isinstance(initial, str) and initial == "paper12":
            cards: list[ModelCard] = []
            for name in PAPER12:
                cards.append(self.space.nearest(ModelCard.named(name), excluded=cards))
            initial = cards
        if isinstance(initial, list | tuple) and all(isinstance(card, ModelCard) for card in initial):
            return list(dict.fromkeys(self.space.index(card) for card in initial))
        if isinstance(initial, bool) or not isinstance(initial, int) or initial < 0:
            raise OptionError(f"initial: {shown(initial)} is neither a number, paper12, nor a list of model cards")
        return self.draw_unseen(initial, np.random.default_rng([self.seed, _INITIAL_STREAM]))
