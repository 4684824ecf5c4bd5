"""Design spaces: indexed sets of cards that are never written out (paper sections 3.1 and 3.2.2)."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain, product

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotInSpaceError, OptionError, SpaceIndexError
from flexnas_bench.layer import EncoderLayer


@dataclass(frozen=True)
class Choices:
    """What the layers of a space may be made of (paper Table 2).

    `layers_per_stack` equal layers follow each other; `None` makes all layers of a card equal.
    A feed-forward stack has one width repeated, or any widths if `heterogeneous_feed_forward`.
    """

    layers: tuple[int, ...] = (2, 4)
    layers_per_stack: int | None = 1
    hidden: tuple[int, ...] = (128, 256)
    heads: tuple[int, ...] = (2, 4)
    feed_forward: tuple[int, ...] = (512, 1024)
    feed_forward_stacks: tuple[int, ...] = (1, 3)
    heterogeneous_feed_forward: bool = False
    operations: tuple[tuple[str, str | int], ...] = (
        ("SA", "SDP"),
        ("SA", "WMA"),
        ("LT", "DFT"),
        ("LT", "DCT"),
        ("DSC", 5),
        ("DSC", 9),
    )

    @cached_property
    def layer_choices(self) -> tuple[EncoderLayer, ...]:
        """Every different encoder layer, in the order that indices count them."""
        stacks: list[tuple[int, ...]] = []
        for height in self.feed_forward_stacks:
            if self.heterogeneous_feed_forward:
                stacks += product(self.feed_forward, repeat=height)
            else:
                stacks += [(width,) * height for width in self.feed_forward]
        return tuple(
            EncoderLayer(operation, parameter, hidden, heads, stack)
            for (operation, parameter), hidden, heads, stack in product(
                self.operations, self.hidden, self.heads, stacks
            )
        )


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

    def sample(self, n: int, seed: int = 0) -> list[ModelCard]:
        """`n` different cards drawn uniformly, in random order; raises `OptionError` if there are fewer."""
        if not 0 <= n <= self.size:
            raise OptionError(f"cannot draw {n} different cards from the {self.size} of space {self.name}")
        rng = np.random.default_rng(seed)
        if 2 * n > self.size:  # then drawing until they differ would take long
            return [self[int(i)] for i in rng.permutation(self.size)[:n]]
        drawn: dict[int, None] = {}
        while len(drawn) < n:
            drawn[self.sample_index(rng)] = None
        return [self[i] for i in drawn]


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
        base, repeat = len(self._layers), self._repeat(depth)
        stacks: list[tuple[EncoderLayer, ...]] = []
        for _ in range(self._stacks(depth)):
            index, digit = divmod(index, base)
            stacks.append((self._layers[digit],) * repeat)
        return ModelCard(tuple(chain.from_iterable(reversed(stacks))))

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

    def sample_index(self, rng: np.random.Generator) -> int:
        """An index drawn uniformly, to within 2 ** -32."""
        words = -(-self.size.bit_length() // 32) + 1  # one word to spare keeps the bias under 2 ** -32
        draw = int.from_bytes(rng.integers(0, 2**32, size=words, dtype=np.uint32).tobytes(), "little")
        return draw * self.size >> 32 * words


class ListSpace(DesignSpace):
    """A space given as a list of different cards, in that order."""

    def __init__(self, name: str, cards: Sequence[ModelCard], choices: Choices) -> None:
        self.name = name
        self.choices = choices
        self.size = len(cards)
        self._cards = tuple(cards)
        self._index = {card: i for i, card in enumerate(cards)}
        if len(self._index) < self.size:
            raise ValueError(f"space {name} lists a card twice")

    def _card(self, index: int) -> ModelCard:
        return self._cards[index]

    def index(self, card: ModelCard) -> int:
        """Position of a card in the list; raises `NotInSpaceError` if it is not there."""
        if card not in self._index:
            raise NotInSpaceError(f"card {card.hash[:12]}... is not among the {self.size} of space {self.name}")
        return self._index[card]

    def sample_index(self, rng: np.random.Generator) -> int:
        """An index drawn uniformly."""
        return int(rng.integers(self.size))


_GRIDS = {
    "g1": Choices(layers_per_stack=2),
    "g2": Choices(),
    "g3": Choices(heterogeneous_feed_forward=True),
    "homogeneous": Choices(layers_per_stack=None),
}
SPACE_NAMES = (*_GRIDS, "pool")


@cache
def load_space(name: str) -> DesignSpace:
    """A design space of the paper, or the pool of cards that others have trained.

    `g1`: stacks of two equal layers, 9,312 cards; `g2`: single layers, 84,943,872; `g3`: free feed-forward
    widths, 3,317,817,600 (section 3.2.2); `homogeneous`: all layers equal, 192, a part of `g1`; `pool`:
    the 491 cards with published GLUE results, a frozen list without scores.

    Raises:
        NotInSpaceError: for a name that is none of these.
    """
    key = name.lower()
    if key in _GRIDS:
        return GridSpace(key, _GRIDS[key])
    if key == "pool":
        from flexnas_bench.storage import read_shipped  # pyarrow, which no other space needs

        table = read_shipped("pool.parquet")
        cards = [ModelCard.from_json(text) for text in table["card"].to_pylist()]
        return ListSpace("pool", cards, _GRIDS["g2"])
    raise NotInSpaceError(f"no space is named {name!r}; known: {', '.join(SPACE_NAMES)}")
