"""What every design space is: an indexed set of cards."""

from __future__ import annotations

import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidSpaceError, NotInSpaceError, OptionError, SpaceIndexError, shown
from flexnas_bench.space.choices import Choices
from flexnas_bench.space.decisions import Decisions

#: Spaces up to this size can be looked at card by card.
SUBSET_LIMIT = 1_000_000


class DesignSpace(ABC):
    """An indexed set of model cards: `space[i]` and `space.index(card)` are inverse to each other.

    Attributes:
        name: the name it loads under.
        size: exact number of cards, also where that is beyond what `len` can say.
        choices: the values its cards are made of.
    """

    name: str
    size: int
    choices: Choices

    @abstractmethod
    def index(self, card: ModelCard) -> int:
        """Index of a card, 0 to size - 1; raises `NotInSpaceError` for a card that is not in the space."""

    @abstractmethod
    def _card(self, index: int) -> ModelCard:
        """The card of an index known to be in range."""

    @abstractmethod
    def sample_index(self, rng: np.random.Generator) -> int:
        """An index drawn uniformly."""

    def __getitem__(self, index: int) -> ModelCard:
        index = operator.index(index)
        position = index + self.size if index < 0 else index
        if not 0 <= position < self.size:
            raise SpaceIndexError(f"space {self.name} has {self.size} cards, none at index {index}")
        return self._card(position)

    def __len__(self) -> int:
        if self.size > sys.maxsize:
            raise OverflowError(f"space {self.name} has {self.size} cards, too many for len(); use space.size")
        return self.size

    def __iter__(self) -> Iterator[ModelCard]:
        return map(self._card, range(self.size))

    def __contains__(self, card: object) -> bool:
        if not isinstance(card, ModelCard):
            return False
        try:
            self.index(card)
        except NotInSpaceError:
            return False
        return True

    def __repr__(self) -> str:
        return f"<DesignSpace {self.name}: {self.size:,} cards>"

    @classmethod
    def from_toml(cls, path: Path | str) -> DesignSpace:
        """One's own space of all products of choices; raises `InvalidSpaceError` (see `space.description`)."""
        from flexnas_bench.space.description import read_toml

        return read_toml(Path(path))

    @classmethod
    def from_cards(cls, name: str, cards: Iterable[ModelCard]) -> DesignSpace:
        """One's own space of listed cards, in that order; raises `InvalidSpaceError` for none, or one listed twice."""
        from flexnas_bench.space.listed import ListSpace

        cards = list(cards)
        if not cards:
            raise InvalidSpaceError(f"space {name} has no cards")
        return ListSpace(name, cards, Choices.of(cards))

    def where(self, name: str, condition: Callable[[ModelCard], bool]) -> DesignSpace:
        """The part of a space whose cards meet a condition, as a space of its own.

        >>> from flexnas_bench import load_space
        >>> load_space("g1").where("shallow", lambda card: card.num_layers == 2).size
        96

        Raises:
            InvalidSpaceError: no card does, or the space has more than 1,000,000 to look at.
        """
        if self.size > SUBSET_LIMIT:
            raise InvalidSpaceError(f"space {self.name} has {self.size:,} cards, too many to look at one by one")
        return DesignSpace.from_cards(name, filter(condition, self))

    @property
    @abstractmethod
    def digest(self) -> str:
        """16 hex digits of what the space consists of, whatever its name."""

    @abstractmethod
    def nearest(
        self, card: ModelCard, excluded: Container[ModelCard] = (), rng: np.random.Generator | None = None
    ) -> ModelCard:
        """The card of the space that differs from one in the fewest decisions.

        Args:
            card: any card, but in a space of products one of its own.
            excluded: cards that will not do.
            rng: draws one of equally near cards; `None` takes the first.

        Raises:
            NotInSpaceError: there is none.
        """

    @cached_property
    def decisions(self) -> Decisions:
        """What is decided for a card, one by one; in a listed space not all that can be decided is a card of it."""
        return Decisions(self.choices)

    @abstractmethod
    def _moves(self, card: ModelCard) -> Iterator[list[ModelCard]]:
        """Neighbours of a card of the space, grouped by the decision that changes; none twice."""

    @abstractmethod
    def crossover(self, a: ModelCard, b: ModelCard, rng: np.random.Generator) -> ModelCard:
        """A child of two cards (B.3): each decision at each depth is one that a parent has there.

        The parents need not be of this space: children of G1 in G2 take their values layer by layer, half a stack.

        Raises:
            NotInSpaceError: the parents have no value of some decision that the space has.
        """

    def neighbors(self, card: ModelCard) -> list[ModelCard]:
        """The cards of the space that differ from one in a single decision; raises `NotInSpaceError`.

        A decision is one of a stack (see `Choices.variants`), or the depth: a card may repeat its last stack to
        become deeper, or drop repetitions. Being neighbours is mutual. In a listed space, where hardly two cards
        differ so little, neighbours are those that differ in the fewest decisions, which is not mutual.
        """
        self.index(card)
        return [neighbor for group in self._moves(card) for neighbor in group]

    def mutate(self, card: ModelCard, rng: np.random.Generator) -> ModelCard:
        """A neighbour of a card, drawn by decision first and value second; raises `NotInSpaceError`."""
        self.index(card)
        groups = [group for group in self._moves(card) if group]
        if not groups:
            raise NotInSpaceError(f"nothing can be changed in a card of space {self.name}")
        group = groups[int(rng.integers(len(groups)))]
        return group[int(rng.integers(len(group)))]

    def sample(self, n: int, seed: int = 0) -> list[ModelCard]:
        """`n` different cards drawn uniformly, in random order; raises `OptionError` if there are fewer."""
        if not isinstance(n, int | np.integer) or not 0 <= n <= self.size:
            raise OptionError(f"cannot draw {shown(n)} different cards from the {self.size} of space {self.name}")
        if not isinstance(seed, int | np.integer) or seed < 0:
            raise OptionError(f"seed: {shown(seed)} is not a whole number, 0 or more")
        rng = np.random.default_rng(seed)
        if 2 * n > self.size:  # then drawing until they differ would take long
            return [self[int(i)] for i in rng.permutation(self.size)[:n]]
        drawn: dict[int, None] = {}
        while len(drawn) < n:
            drawn[self.sample_index(rng)] = None
        return [self[i] for i in drawn]
