"""Spaces of all products of choices, by rank and unrank."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidSpaceError, NotInSpaceError
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space.base import DesignSpace
from flexnas_bench.space.choices import Choices, resized


class GridSpace(DesignSpace):
    """All cards of given choices, by rank and unrank in mixed radix.

    Cards are counted depth by depth; at one depth the index, written in base
    `len(choices.layer_choices)`, has one digit a stack, the input's first.
    """

    def __init__(self, name: str, choices: Choices) -> None:
        self.name = name
        self.choices = choices
        self._layers = choices.layer_choices
        self._digit = {layer: digit for digit, layer in enumerate(self._layers)}
        self._offset: dict[int, int] = {}  # of the first index of each depth
        self.size = 0
        for depth in choices.layers:
            self._offset[depth] = self.size
            self.size += len(self._layers) ** self._stacks(depth)

    def _repeat(self, depth: int) -> int:
        return self.choices.layers_per_stack or depth

    def _stacks(self, depth: int) -> int:
        return depth // self._repeat(depth)

    def _card(self, index: int) -> ModelCard:
        depth = max((d for d in self._offset if self._offset[d] <= index), key=self._offset.__getitem__)
        index -= self._offset[depth]
        stacks: list[EncoderLayer] = []
        for _ in range(self._stacks(depth)):
            index, digit = divmod(index, len(self._layers))
            stacks.append(self._layers[digit])
        return self._of_stacks(reversed(stacks), depth)

    def index(self, card: ModelCard) -> int:
        """Rank of a card; raises `NotInSpaceError` saying what keeps it out."""
        depth = card.num_layers
        if depth not in self._offset:
            raise NotInSpaceError(f"space {self.name} has no cards of {depth} layers")
        index, repeat = 0, self._repeat(depth)
        for start in range(0, depth, repeat):
            layer = card.layers[start]
            if card.layers[start : start + repeat] != (layer,) * repeat:
                raise NotInSpaceError(f"space {self.name} needs layers {start + 1} to {start + repeat} to be equal")
            if layer not in self._digit:
                raise NotInSpaceError(f"space {self.name} has no layer {layer.label} as layer {start + 1} has it")
            index = index * len(self._layers) + self._digit[layer]
        return self._offset[depth] + index

    @property
    def digest(self) -> str:
        """16 hex digits of the choices."""
        return sha256(repr(self.choices).encode()).hexdigest()[:16]

    def finer(self) -> GridSpace:
        """The space one level down (section 3.2.2): stacks of half as many layers, then free feed-forward widths.

        >>> from flexnas_bench import load_space
        >>> load_space("g1").finer().size == load_space("g2").size
        True

        Raises:
            InvalidSpaceError: there is no finer one, or stacks cannot be halved.
        """
        repeat = self.choices.layers_per_stack
        if repeat == 1 and not self.choices.heterogeneous_feed_forward:
            return GridSpace(f"{self.name}-free", replace(self.choices, heterogeneous_feed_forward=True))
        if repeat is None or repeat % 2:
            raise InvalidSpaceError(f"space {self.name} has no finer one")
        return GridSpace(f"{self.name}-finer", replace(self.choices, layers_per_stack=repeat // 2))

    def nearest(
        self, card: ModelCard, excluded: Container[ModelCard] = (), rng: np.random.Generator | None = None
    ) -> ModelCard:
        """The card itself, or one of its neighbours, or one of theirs, and so on; it must be in the space."""
        self.index(card)
        ring, reached = [card], {card}
        while ring:
            free = [other for other in ring if other not in excluded]
            if free:
                return free[int(rng.integers(len(free)))] if rng else free[0]
            ring = [
                other for other in dict.fromkeys(n for one in ring for n in self.neighbors(one)) if other not in reached
            ]
            reached.update(ring)
        raise NotInSpaceError(f"all {self.size:,} cards of space {self.name} are taken already")

    def crossover(self, a: ModelCard, b: ModelCard, rng: np.random.Generator) -> ModelCard:
        """A child, uniform over the products of what the parents have at each depth (B.3)."""
        depths = [d for d in dict.fromkeys((a.num_layers, b.num_layers)) if d in self._offset]
        if not depths:
            raise NotInSpaceError(f"space {self.name} has no cards as deep as one of the parents")
        depth = depths[int(rng.integers(len(depths)))]
        repeat = self._repeat(depth)
        stacks = []
        for start in range(0, depth, repeat):
            parents = [layer for parent in (a, b) for layer in parent.layers[start : start + repeat]]
            stacks.append(self.choices.cross(parents, rng))
        return self._of_stacks(stacks, depth)

    def _moves(self, card: ModelCard) -> Iterator[list[ModelCard]]:
        depth = card.num_layers
        stacks = card.layers[:: self._repeat(depth)]
        for i, layer in enumerate(stacks):
            for variants in self.choices.variants(layer):
                yield [self._of_stacks((*stacks[:i], other, *stacks[i + 1 :]), depth) for other in variants]
        others = [d for d in self._offset if d != depth]
        if self.choices.layers_per_stack is None:
            yield [self._of_stacks(stacks, other) for other in others]
        else:
            counts = [self._stacks(other) for other in others]
            yield [self._of_stacks(s, len(s) * self._repeat(depth)) for s in resized(stacks, counts)]

    def _of_stacks(self, stacks: Iterable[EncoderLayer], depth: int) -> ModelCard:
        repeat = self._repeat(depth)
        return ModelCard(tuple(layer for layer in stacks for _ in range(repeat)))

    def sample_index(self, rng: np.random.Generator) -> int:
        """An index drawn uniformly, to within 2 ** -32."""
        words = -(-self.size.bit_length() // 32) + 1  # one word to spare keeps the bias under 2 ** -32
        draw = int.from_bytes(rng.integers(0, 2**32, size=words, dtype=np.uint32).tobytes(), "little")
        return draw * self.size >> 32 * words
