"""A distance that sees the order of layers: the cheapest alignment of two encoders, layer by layer.

With edges at 0.1 the graph edit distance hardly tells SA, SA, LT, LT from LT, LT, SA, SA, while order matters to
accuracy. Here layers may be inserted, deleted and changed, but never pass one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.blocks import ADD_NORM, EDGE_COST, block_index, check_edge_cost
from flexnas_bench.graph import feed_forward_label
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.processes import Progress, in_threads
from flexnas_bench.space import Choices

_ROWS = 64  # cards whose distances are one piece of work

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
        return layer_distance(x, y, edge_cost, space)

    return round(align(a.layers, b.layers, between), 9)


def alignment_distances(
    cards: Sequence[ModelCard],
    others: Sequence[ModelCard],
    *,
    edge_cost: float = EDGE_COST,
    choices: Choices | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """`alignment_distance` of n cards to m others, shape `(n, m)`; all pairs of G1 take some seconds.

    Args:
        cards: n of them.
        others: m of them.
        edge_cost: of an edge, 0 or more.
        choices: the space whose blocks are numbered; the paper's (Table 2) if not given.
        jobs: threads; all cores if not given.
        progress: told how many pairs are done.

    Raises:
        NotInSpaceError: a card has a block that the choices do not have.
        OptionError: an edge cost that makes no sense.
    """
    from flexnas_bench.distance.kernel import align_many

    check_edge_cost(edge_cost)
    different = list(dict.fromkeys(layer for card in (*cards, *others) for layer in card.layers))
    ends = [*different, None]
    costs = np.array([[layer_distance(x, y, edge_cost, choices or Choices()) for y in ends] for x in ends])
    number = {layer: i for i, layer in enumerate(different)}
    (layers, depths), (layers_b, depths_b) = (_numbered(side, number) for side in (cards, others))
    distances = np.empty((len(cards), len(others)), np.float32)

    def align_rows(first: int) -> int:
        rows = slice(first, first + _ROWS)
        align_many(layers[rows], depths[rows], layers_b, depths_b, costs, distances[rows])
        return min(rows.stop, len(cards))

    for done in in_threads(align_rows, range(0, len(cards), _ROWS), jobs):
        if progress:
            progress("Aligning layers", done * len(others), distances.size)
    return distances


def _numbered(
    cards: Sequence[ModelCard], number: Mapping[EncoderLayer, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Numbers of the layers of each card, zeros behind the last one, and how many they are."""
    depths = np.array([card.num_layers for card in cards], np.int32)
    layers = np.zeros((len(cards), max(depths, default=0)), np.int32)
    for i, card in enumerate(cards):
        layers[i, : card.num_layers] = [number[layer] for layer in card.layers]
    return layers, depths


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


def layer_distance(x: EncoderLayer | None, y: EncoderLayer | None, edge_cost: float, choices: Choices) -> float:
    """What it costs to turn one layer into another, either of which may be none."""
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
