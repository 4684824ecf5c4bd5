"""Spaces given as a list of cards."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidSpaceError, NotInSpaceError
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space.base import DesignSpace
from flexnas_bench.space.choices import Choices
from flexnas_bench.space.grid import GridSpace


class ListSpace(DesignSpace):
    """A space given as a list of different cards, in that order.

    Raises:
        InvalidSpaceError: the list has a card twice.
    """

    def __init__(self, name: str, cards: Sequence[ModelCard], choices: Choices) -> None:
        self.name = name
        self.choices = choices
        self.size = len(cards)
        self._cards = tuple(cards)
        self._index = {card: i for i, card in enumerate(cards)}
        if len(self._index) < self.size:
            raise InvalidSpaceError(f"space {name} lists a card twice")

    def _card(self, index: int) -> ModelCard:
        return self._cards[index]

    def index(self, card: ModelCard) -> int:
        """Position of a card in the list; raises `NotInSpaceError` if it is not there."""
        if card not in self._index:
            raise NotInSpaceError(f"card {card.hash[:12]}... is not among the {self.size} of space {self.name}")
        return self._index[card]

    @property
    def digest(self) -> str:
        """16 hex digits of the hashes in order."""
        return sha256("".join(card.hash for card in self._cards).encode()).hexdigest()[:16]

    def sample_index(self, rng: np.random.Generator) -> int:
        """An index drawn uniformly."""
        return int(rng.integers(self.size))

    def nearest(
        self, card: ModelCard, excluded: Container[ModelCard] = (), rng: np.random.Generator | None = None
    ) -> ModelCard:
        """The listed card that differs in the fewest decisions, of equal ones the first or one drawn."""
        shuffled = np.arange(self.size) if rng is None else rng.permutation(self.size)
        order: list[int] = shuffled[np.argsort(self._differences(card)[shuffled], kind="stable")].tolist()
        found = next((self._cards[i] for i in order if self._cards[i] not in excluded), None)
        if found is None:
            raise NotInSpaceError(f"all {self.size} cards of space {self.name} are taken already")
        return found

    def crossover(self, a: ModelCard, b: ModelCard, rng: np.random.Generator) -> ModelCard:
        """The listed card, other than the parents, that differs least from a child drawn as in a space of products."""
        return self.nearest(self._products.crossover(a, b, rng), excluded=(a, b))

    def _moves(self, card: ModelCard) -> Iterator[list[ModelCard]]:
        differences = self._differences(card)
        differences[self._index[card]] = np.iinfo(differences.dtype).max
        if self.size > 1:
            yield [self._cards[i] for i in np.flatnonzero(differences == differences.min())]

    def _differences(self, card: ModelCard) -> NDArray[np.int64]:
        """In how many decisions each listed card differs from one; shape `(size,)`."""
        count: NDArray[np.int64] = (self._decisions != self._encode(card)).sum(axis=1)
        return count

    @cached_property
    def _products(self) -> GridSpace:
        return GridSpace(self.name, self.choices)

    @cached_property
    def _decisions(self) -> NDArray[np.int64]:
        return np.stack([self._encode(card) for card in self._cards])

    def _encode(self, card: ModelCard) -> NDArray[np.int64]:
        """A card's decisions as whole numbers, layer by layer; zeros where it has no layer."""
        depth = max(self.choices.layers)
        rows = [self._encode_layer(layer) for layer in card.layers[:depth]]
        codes = np.zeros((depth + 1, len(rows[0])), dtype=np.int64)
        codes[: len(rows)] = rows
        codes[depth, 0] = card.num_layers
        return codes.ravel()

    def _encode_layer(self, layer: EncoderLayer) -> list[int]:
        operations = self.choices.operations
        operation = (layer.operation, layer.parameter)
        code = 1 + operations.index(operation) if operation in operations else -1
        height = max(self.choices.feed_forward_stacks) if self.choices.heterogeneous_feed_forward else 1
        widths = (*layer.feed_forward, *[0] * height)[:height]
        return [code, layer.hidden, layer.heads, len(layer.feed_forward), *widths]
