"""What every embedding is: vectors of cards, and the matrix of one design space."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from heapq import nsmallest

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotInSpaceError, OptionError, shown
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import DesignSpace, climb

#: Spaces up to this size have a matrix of all their vectors.
MATRIX_LIMIT = 100_000
_TYPICAL = 10_000
_STARTS, _BEAM = 1_000, 32
Vectors = NDArray[np.float32]


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
    def vector(self, card: ModelCard) -> Vectors:
        """The vector of a card, shape `(dim,)`; raises `NotInSpaceError` for a card it cannot describe."""

    def vectors(self, cards: Sequence[ModelCard]) -> Vectors:
        """Vectors of many cards, shape `(len(cards), dim)`; raises `NotInSpaceError`."""
        return np.stack([self.vector(card) for card in cards]) if cards else np.empty((0, self.dim), np.float32)

    @cached_property
    def matrix(self) -> Vectors:
        """Vectors of all cards of the space in order, shape `(N, dim)`, read-only.

        Raises:
            NotInSpaceError: for a space of more than 100,000 cards, or with a card that cannot be described.
        """
        if self.space.size > MATRIX_LIMIT:
            raise NotInSpaceError(
                f"space {self.space.name} has {self.space.size:,} cards; a matrix is made for up to {MATRIX_LIMIT:,}"
            )
        matrix = self.vectors(list(self.space))
        matrix.flags.writeable = False
        return matrix

    @cached_property
    def features(self) -> Vectors:
        """The matrix as a model likes it, see `features_of`; read-only."""
        features = self._standardised(self.matrix)
        features.flags.writeable = False
        return features

    def features_of(self, cards: Sequence[ModelCard]) -> Vectors:
        """Vectors as a model likes them, shape `(len(cards), dim)`: centred, and divided by one number for all.

        So distances keep their ratios. Centre and number are those of the matrix, or, in a space too large to have one,
        of 1,000 cards drawn from it. Raises `NotInSpaceError` as `vectors` does.
        """
        return self._standardised(self.vectors(cards))

    def _standardised(self, vectors: Vectors) -> Vectors:
        centre, scale = self._centre_and_scale
        return (vectors - centre) / scale

    @cached_property
    def _centre_and_scale(self) -> tuple[Vectors, np.float32]:
        typical = self.matrix if self.space.size <= MATRIX_LIMIT else self._starts[1]
        centre: Vectors = typical.mean(axis=0)
        return centre, np.float32(max(float((typical - centre).std()), 1e-12))

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return len(self.vector(self.space[0]))

    def nearest(self, x: ArrayLike, k: int = 1) -> NDArray[np.intp]:
        """Indices of the `k` cards of the space nearest to a point, nearest first, of equal ones the first.

        In a space of more than 100,000 cards, of which nobody has a matrix, they are sought by going from card to
        neighbour (`DesignSpace.neighbors`), which ends at the nearest or close to it.

        Args:
            x: a point, shape `(dim,)`.
            k: how many, at most the size of the space.

        Raises:
            OptionError: for more neighbours than there are cards, or none.
        """
        if not isinstance(k, int | np.integer) or not 1 <= k <= self.space.size:
            raise OptionError(f"k: {shown(k)} neighbours asked of {self.space.size} cards")
        point = np.asarray(x, dtype=np.float32)
        large = self.space.size > MATRIX_LIMIT
        dim = self.dim if large else self.matrix.shape[1]
        if point.shape != (dim,) or not math.isfinite(point @ point):
            raise OptionError(f"x: a point is {dim} finite numbers, not {shown(x)}")
        if large:
            return self._climb(point, k)
        half, tolerance = self._half_squares
        rough = half - self.matrix @ point  # half the squared distance, but for a constant and for rounding
        limit = rough.min() if k == 1 else np.partition(rough, k - 1)[k - 1]
        some = np.flatnonzero(rough <= limit + tolerance * (1 + math.sqrt(point @ point)))
        distances = np.square(self.matrix[some] - point).sum(axis=1)
        return some[np.argsort(distances, kind="stable")[:k]]

    def _climb(self, point: Vectors, k: int) -> NDArray[np.intp]:
        """The nearest that are found when the neighbours of the nearest so far are looked at, until none is new."""

        def nearness(cards: Sequence[ModelCard]) -> NDArray[np.floating]:
            near: NDArray[np.floating] = -np.linalg.norm(self.vectors(cards) - point, axis=1, keepdims=True)
            return near

        cards, vectors = self._starts
        order = np.argsort(np.linalg.norm(vectors - point, axis=1), kind="stable")
        found, near = climb(self.space, [cards[i] for i in order[: max(k, _BEAM)]], nearness, max(k, _BEAM))
        ranked = nsmallest(k, zip(-near[:, 0], map(self.space.index, found), strict=True))
        return np.array([index for _, index in ranked], dtype=np.intp)

    @cached_property
    def _starts(self) -> tuple[list[ModelCard], Vectors]:
        """Cards of a large space from which its nearest are sought."""
        cards = self.space.sample(_STARTS)
        return cards, self.vectors(cards)

    @cached_property
    def _half_squares(self) -> tuple[Vectors, float]:
        """Half the squared length of every vector; and what rounding may add for a point of unit size."""
        half = np.square(self.matrix, dtype=np.float64).sum(axis=1).astype(np.float32) / 2
        largest = float(np.abs(self.matrix).max(initial=0.0))
        return half, 4 * float(np.finfo(np.float32).eps) * self.matrix.shape[1] * (1 + largest) * max(1.0, largest)


def typical_cards(space: DesignSpace) -> Iterable[ModelCard]:
    """The cards over which features are standardised: all of a space, or 10,000 of one too large for a matrix."""
    return space if space.size <= MATRIX_LIMIT else space.sample(_TYPICAL, seed=0)


def check_layers(space: DesignSpace, card: ModelCard, layers: Container[EncoderLayer]) -> None:
    """Raises `NotInSpaceError` for a card whose depth, or a layer, the space does not have."""
    if card.num_layers not in space.choices.layers:
        raise NotInSpaceError(f"space {space.name} has no cards of {card.num_layers} layers")
    for j, layer in enumerate(card.layers):
        if layer not in layers:
            raise NotInSpaceError(f"space {space.name} has no layer like layer {j + 1}, {layer.label}")
