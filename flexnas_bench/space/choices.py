"""What the layers of a space may be made of, how a layer may change, and what two layers may pass on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TypeVar

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidSpaceError, NotInSpaceError, shown
from flexnas_bench.layer import MAX_HEADS, MAX_SIZE, EncoderLayer

#: Bounds on what is listed in memory, and on how many digits the size of a space has.
LAYER_LIMIT, DEPTH_LIMIT = 100_000, 256
T = TypeVar("T")


@dataclass(frozen=True)
class Choices:
    """What the layers of a space may be made of (paper Table 2).

    `layers_per_stack` equal layers follow each other; `None` makes all layers of a card equal.
    A feed-forward stack has one width repeated, or any widths if `heterogeneous_feed_forward`.

    Raises:
        InvalidSpaceError: choices that make no sense, by the entry at fault; more than 256 layers in a card, or
            widths in a feed-forward stack.
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

    def __post_init__(self) -> None:
        most = {"layers": DEPTH_LIMIT, "feed_forward_stacks": DEPTH_LIMIT, "heads": MAX_HEADS}
        for entry in ("layers", "hidden", "heads", "feed_forward", "feed_forward_stacks"):
            _check_sizes(entry, getattr(self, entry), most.get(entry, MAX_SIZE))
        repeat = self.layers_per_stack
        if repeat is not None and (type(repeat) is not int or repeat < 1):
            raise InvalidSpaceError(f"layers_per_stack: {shown(repeat)} is not a positive whole number")
        for depth in self.layers:
            if repeat is not None and depth % repeat:
                raise InvalidSpaceError(f"layers_per_stack: {shown(repeat)} do not divide {depth} layers")
        for hidden in self.hidden:
            if all(hidden % heads for heads in self.heads):
                raise InvalidSpaceError(f"hidden: no number of heads divides {hidden}")
        for heads in self.heads:
            if all(hidden % heads for hidden in self.hidden):
                raise InvalidSpaceError(f"heads: {heads} divide no hidden size")
        if not self.operations:
            raise InvalidSpaceError("operations: there are none")
        if len(set(self.operations)) < len(self.operations):
            raise InvalidSpaceError("operations: a parameter stands there twice")

    @classmethod
    def of(cls, cards: Iterable[ModelCard]) -> Choices:
        """The values that occur in these cards."""
        cards = list(cards)
        layers = [layer for card in cards for layer in card.layers]
        stacks = {layer.feed_forward for layer in layers}
        return cls(
            layers=tuple(sorted({card.num_layers for card in cards})),
            hidden=tuple(sorted({layer.hidden for layer in layers})),
            heads=tuple(sorted({layer.heads for layer in layers})),
            feed_forward=tuple(sorted({width for stack in stacks for width in stack})),
            feed_forward_stacks=tuple(sorted({len(stack) for stack in stacks})),
            heterogeneous_feed_forward=any(len(set(stack)) > 1 for stack in stacks),
            operations=tuple(dict.fromkeys((layer.operation, layer.parameter) for layer in layers)),
        )

    @cached_property
    def layer_choices(self) -> tuple[EncoderLayer, ...]:
        """Every different encoder layer, in the order that indices count them; heads must divide the hidden size.

        Raises:
            InvalidSpaceError: there are more than 100,000.
        """
        free = self.heterogeneous_feed_forward
        count = sum(len(self.feed_forward) ** (height if free else 1) for height in self.feed_forward_stacks)
        if count * len(self.operations) * len(self.hidden) * len(self.heads) > LAYER_LIMIT:
            raise InvalidSpaceError(f"more than {LAYER_LIMIT:,} different layers; give fewer values, or lower stacks")
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
            if hidden % heads == 0
        )

    def variants(self, layer: EncoderLayer) -> Iterator[list[EncoderLayer]]:
        """All layers that differ from one in a single decision, decision by decision.

        The decisions are operation (with its parameter), hidden size, heads, feed-forward width (of one member of the
        stack where they are free, of all otherwise) and height of the feed-forward stack. A stack grows by repeating
        its last width and shrinks by dropping repeated ones, so that being a variant is mutual.
        """
        yield [
            replace(layer, operation=operation, parameter=parameter)
            for operation, parameter in self.operations
            if (operation, parameter) != (layer.operation, layer.parameter)
        ]
        yield [replace(layer, hidden=h) for h in self.hidden if h != layer.hidden and h % layer.heads == 0]
        yield [replace(layer, heads=n) for n in self.heads if n != layer.heads and layer.hidden % n == 0]
        stack = layer.feed_forward
        if self.heterogeneous_feed_forward:
            wider = [(*stack[:i], w, *stack[i + 1 :]) for i in range(len(stack)) for w in self.feed_forward]
        else:
            wider = [(w,) * len(stack) for w in self.feed_forward]
        yield [replace(layer, feed_forward=widths) for widths in wider if widths != stack]
        yield [replace(layer, feed_forward=tuple(s)) for s in resized(stack, self.feed_forward_stacks)]

    def cross(self, parents: Sequence[EncoderLayer], rng: np.random.Generator) -> EncoderLayer:
        """A layer whose every decision is that of one of the parents, drawn independently (B.3).

        Raises:
            NotInSpaceError: the parents have no value of some decision that the space has.
        """
        operation, parameter = self._draw(
            "operation", ((p.operation, p.parameter) for p in parents), self.operations, rng
        )
        hidden = self._draw("hidden size", (p.hidden for p in parents), self.hidden, rng)
        fitting = [n for n in self.heads if hidden % n == 0]
        heads = self._draw("number of heads", (p.heads for p in parents), fitting, rng)
        height = self._draw("feed-forward stack", (len(p.feed_forward) for p in parents), self.feed_forward_stacks, rng)
        widths = [width for p in parents for width in p.feed_forward]
        drawn = [
            self._draw("feed-forward width", widths, self.feed_forward, rng)
            for _ in range(height if self.heterogeneous_feed_forward else 1)
        ]
        return EncoderLayer(operation, parameter, hidden, heads, tuple(drawn) * (height // len(drawn)))

    @staticmethod
    def _draw(what: str, values: Iterable[T], allowed: Sequence[T], rng: np.random.Generator) -> T:
        """One of the different values that are allowed, each equally likely."""
        possible = [value for value in dict.fromkeys(values) if value in allowed]
        if not possible:
            raise NotInSpaceError(f"the parents have no {what} that the space has")
        return possible[int(rng.integers(len(possible)))]


def _check_sizes(entry: str, values: Sequence[object], most: int) -> None:
    if not values:
        raise InvalidSpaceError(f"{entry}: there are none")
    for value in values:
        if type(value) is not int or not 1 <= value <= most:
            raise InvalidSpaceError(f"{entry}: {shown(value)} is not a whole number from 1 to {most:,}")
    if len(set(values)) < len(values):
        raise InvalidSpaceError(f"{entry}: a value stands there twice")


def resized(items: Sequence[T], lengths: Iterable[int]) -> Iterator[tuple[T, ...]]:
    """A sequence in other lengths: longer by repeating its last item, shorter where it ends in repetitions."""
    for length in lengths:
        if length > len(items):
            yield (*items, *[items[-1]] * (length - len(items)))
        elif length < len(items) and all(item == items[length - 1] for item in items[length:]):
            yield tuple(items[:length])
