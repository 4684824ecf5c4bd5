"""A distance that sees the order of layers: the cheapest alignment of two encoders, layer by layer.

With edges at 0.1 the graph edit distance hardly tells SA, SA, LT, LT from LT, LT, SA, SA, while order matters to
accuracy. Here layers may be inserted, deleted and changed, but never pass one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.blocks import ADD_NORM, block_index
from flexnas_bench.distance.ged import EDGE_COST, check_edge_cost
from flexnas_bench.graph import feed_forward_label
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices

T = TypeVar("T")


def alignment_distance(
    a: ModelCard, b: ModelCard, *, edge_cost: float = EDGE_COST, choices: Choices | None = None
) -> float:
    """Cost of the cheapest alignment of the layers of two cards, in order; exact, and a metric.

    Blocks cost what they cost in `ged`. Two layers are as far apart as their heads (those of one may be changed into
    those of the other, the rest is inserted or deleted), the cheapest alignment of their feed-forward widths, and
    `edge_cost` for every edge that one has more; a layer without a partner costs all of its blocks and edges.

    >>> mini = ModelCard.named("flexibert-mini")
    >>> swapped = ModelCard(mini.layers[2:] + mini.layers[:2])
    >>> alignment_distance(mini, swapped) > 50
    True

    Raises:
        NotInSpaceError: a card has a block that the choices do not have.
        OptionError: an edge cost that makes no sense.
    """
    check_edge_cost(edge_cost)
    space = choices or Choices()

    def between(x: EncoderLayer | None, y: EncoderLayer | None) -> float:
        return _layer_distance(x, y, edge_cost, space)

    return round(align(a.layers, b.layers, between), 9)


def align(a: Sequence[T], b: Sequence[T], distance: Callable[[T | None, T | None], float]) -> float:
    """The least total distance of an alignment that keeps the order of both sequences; `None` stands for nothing.

    By dynamic programming over prefixes (Needleman and Wunsch 1970): `costs[j]` is that of the first items of `a`, up
    to the current one, against the first j of `b`.
    """
    costs = [0.0]
    for y in b:
        costs.append(costs[-1] + distance(None, y))
    for x in a:
        gone = distance(x, None)
        previous, costs = costs, [costs[0] + gone]
        for j, y in enumerate(b):
            costs.append(min(previous[j] + distance(x, y), previous[j + 1] + gone, costs[j] + distance(None, y)))
    return costs[-1]


def _layer_distance(x: EncoderLayer | None, y: EncoderLayer | None, edge_cost: float, choices: Choices) -> float:
    (n, i, stack_x), (m, j, stack_y) = (_blocks(layer, choices) for layer in (x, y))
    heads = min(n, m) * abs(i - j) + abs(n - m) * (i if n > m else j)
    norms = 2 * ADD_NORM * ((x is None) != (y is None))
    stacks = align(stack_x, stack_y, lambda u, v: abs((u or 0) - (v or 0)))
    return heads + norms + stacks + edge_cost * abs(_edges(x) - _edges(y))


def _blocks(layer: EncoderLayer | None, choices: Choices) -> tuple[int, int, list[int]]:
    """Number and index of the heads of a layer, and indices of its feed-forward blocks."""
    if layer is None:
        return 0, 0, []
    stack = [block_index(feed_forward_label(width), choices) for width in layer.feed_forward]
    return layer.heads, block_index(layer.label, choices), stack


def _edges(layer: EncoderLayer | None) -> int:
    """Edges that a layer brings: to and from its heads, along its feed-forward chain, and two residual ones."""
    return 0 if layer is None else 2 * layer.heads + len(layer.feed_forward) + 3
