"""Embeddings: a vector for every card, so that surrogates have something to learn on (paper section 3.3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotInSpaceError, OptionError
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices, DesignSpace, load_space

#: Spaces up to this size have a matrix of all their vectors.
MATRIX_LIMIT = 100_000
_SAMPLE = 10_000  # cards that stand for a larger space when features are standardised


class Embedding(ABC):
    """Vectors of cards, and the matrix of all vectors of one design space.

    Attributes:
        name: the name it loads under.
        space: the design space whose cards are the rows of `matrix`.
    """

    name: str

    def __init__(self, space: DesignSpace) -> None:
        self.space = space

    @abstractmethod
    def vector(self, card: ModelCard) -> NDArray[np.float32]:
        """The vector of a card, shape `(dim,)`; raises `NotInSpaceError` for a card it cannot describe."""

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """Vectors of all cards of the space in order, shape `(N, dim)`, read-only.

        Raises:
            NotInSpaceError: for a space of more than 100,000 cards.
        """
        if self.space.size > MATRIX_LIMIT:
            raise NotInSpaceError(
                f"space {self.space.name} has {self.space.size:,} cards; a matrix is made for up to {MATRIX_LIMIT:,}"
            )
        matrix = np.stack([self.vector(card) for card in self.space])
        matrix.flags.writeable = False
        return matrix

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.vector(self.space[0]))

    def nearest(self, x: ArrayLike, k: int = 1) -> NDArray[np.intp]:
        """Indices of the `k` cards of the space nearest to a point, nearest first.

        Args:
            x: a point, shape `(dim,)`.
            k: how many, at most the size of the space.
        """
        distances = np.square(self.matrix - np.asarray(x, dtype=np.float32)).sum(axis=1)
        if not 1 <= k <= len(distances):
            raise OptionError(f"k: {k} neighbours asked of {len(distances)} cards")
        some = np.argpartition(distances, k - 1)[:k]
        return some[np.argsort(distances[some], kind="stable")]


class OneHot(Embedding):
    """The naive embedding: every choice of every layer as zeros and a one, standardised per feature.

    A layer that a shallower card lacks is all zeros. Features are centred and divided by their standard
    deviation over the space (over 10,000 cards of a larger one); features that never vary are dropped.
    """

    name = "one-hot"

    def __init__(self, space: DesignSpace) -> None:
        super().__init__(space)
        self._choices = space.choices
        self._depth = max(space.choices.layers)
        self._bits = {layer: _layer_bits(layer, space.choices) for layer in space.choices.layer_choices}
        cards = space if space.size <= MATRIX_LIMIT else space.sample(_SAMPLE, seed=0)
        bits = np.stack([self._card_bits(card) for card in cards])
        rates = bits.mean(axis=0)
        self._kept = np.flatnonzero((rates > 0) & (rates < 1))
        self._rates = rates[self._kept]
        self._scale = np.sqrt(self._rates * (1 - self._rates))

    def vector(self, card: ModelCard) -> NDArray[np.float32]:
        """Standardised features of a card, shape `(dim,)`."""
        standardised: NDArray[np.float64] = (self._card_bits(card)[self._kept] - self._rates) / self._scale
        return standardised.astype(np.float32)

    def _card_bits(self, card: ModelCard) -> NDArray[np.float64]:
        depths = np.equal(self._choices.layers, card.num_layers).astype(float)
        if not depths.any():
            raise NotInSpaceError(f"space {self.space.name} has no cards of {card.num_layers} layers")
        width = len(next(iter(self._bits.values())))
        rows = np.zeros((self._depth, width))
        for j, layer in enumerate(card.layers):
            if layer not in self._bits:
                raise NotInSpaceError(f"space {self.space.name} has no layer like layer {j + 1}, {layer.label}")
            rows[j] = self._bits[layer]
        return np.concatenate([depths, rows.ravel()])


def _layer_bits(layer: EncoderLayer, choices: Choices) -> NDArray[np.float64]:
    stack = layer.feed_forward
    widths = [stack[i] if i < len(stack) else None for i in range(max(choices.feed_forward_stacks))]
    answers = [
        (choices.operations, (layer.operation, layer.parameter)),
        (choices.hidden, layer.hidden),
        (choices.heads, layer.heads),
        (choices.feed_forward_stacks, len(stack)),
        *((choices.feed_forward, width) for width in widths),
    ]
    return np.array([float(option == answer) for options, answer in answers for option in options])


EMBEDDINGS: dict[str, type[Embedding]] = {OneHot.name: OneHot}


def check_embedding(name: str) -> None:
    """Raises `OptionError` for an unknown name."""
    if name not in EMBEDDINGS:
        raise OptionError(f"unknown embedding {name!r}; there is {', '.join(EMBEDDINGS)}")


def load_embedding(name: str = OneHot.name, space: DesignSpace | str = "g1") -> Embedding:
    """An embedding by name, over the cards of a space.

    Raises:
        OptionError: for an unknown name.
    """
    check_embedding(name)
    return EMBEDDINGS[name](load_space(space) if isinstance(space, str) else space)
