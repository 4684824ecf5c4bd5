"""What a graph edit distance depends on: the shape of a card, and the block indices of its kinds of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.blocks import ADD_NORM, INPUT, OUTPUT, GroupGraph, block_index, block_indices
from flexnas_bench.graph import feed_forward_label
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices

_REMEMBERED = 20_000  # cards whose outline is kept


@dataclass(frozen=True, eq=False)
class Outline:
    """A card as it is compared with others.

    Nodes of one kind have the same block whatever the values of a card are. Kind 0 is a missing node or the input, 1
    the output, 2 an add_norm; then come, stack by stack, the heads and each different feed-forward block. A stack is
    two equal layers where a card consists of such pairs (all of G1 do), and one layer otherwise.

    Attributes:
        shape: the stacks as text: `2x4:0,0,1` is two layers of four heads, two equal feed-forward blocks and another.
        kinds: block index of each kind, int16, shape `(kinds,)`.
        groups: kind of each group of the graph, and of missing nodes at the end.
        above: number of nodes whose index is above 0, 1, ..., int16, shape `(largest index of the choices,)`.
        graph: the graph, twins as one.
        first_heads: heads of the first layer, on which the proof in `docs/ged.md` depends.
    """

    shape: str
    kinds: NDArray[np.int16]
    groups: tuple[int, ...]
    above: NDArray[np.int16]
    graph: GroupGraph
    first_heads: int


@lru_cache(_REMEMBERED)
def outline(card: ModelCard, choices: Choices) -> Outline:
    """The outline of a card; raises `NotInSpaceError` for a block that the choices do not have."""
    layers = card.layers
    repeat = 2 if len(layers) % 2 == 0 and layers[::2] == layers[1::2] else 1
    stacks, kinds, groups = [], [INPUT, OUTPUT, ADD_NORM], [0]
    for layer in layers[::repeat]:
        widths = list(dict.fromkeys(layer.feed_forward))
        places = [widths.index(width) for width in layer.feed_forward]
        stacks.append(f"{repeat}x{layer.heads}:{','.join(map(str, places))}")
        heads = len(kinds)
        groups += [heads, 2, *(heads + 1 + place for place in places), 2] * repeat
        kinds += [block_index(layer.label, choices), *(block_index(feed_forward_label(w), choices) for w in widths)]
    return Outline(
        shape="+".join(stacks),
        kinds=np.array(kinds, np.int16),
        groups=(*groups, 1, 0),
        above=_above([card], choices)[0],
        graph=GroupGraph.of(layers, choices),
        first_heads=layers[0].heads,
    )


def _above(cards: Sequence[ModelCard], choices: Choices) -> NDArray[np.int16]:
    """Number of nodes of each card above each threshold, shape `(len(cards), thresholds)`."""
    layers = np.stack([_layer_above(layer, choices) for card in cards for layer in card.layers])
    first = np.cumsum([0, *(card.num_layers for card in cards[:-1])])
    above: NDArray[np.int16] = np.add.reduceat(layers, first, axis=0, dtype=np.int16)
    return above + _nodes_above((OUTPUT,), choices)


@lru_cache(_REMEMBERED)
def _layer_above(layer: EncoderLayer, choices: Choices) -> NDArray[np.int16]:
    heads = [block_index(layer.label, choices)] * layer.heads
    stack = [block_index(feed_forward_label(width), choices) for width in layer.feed_forward]
    return _nodes_above((*heads, ADD_NORM, *stack, ADD_NORM), choices)


@lru_cache(_REMEMBERED)
def _nodes_above(indices: tuple[int, ...], choices: Choices) -> NDArray[np.int16]:
    thresholds = np.arange(max(block_indices(choices).values()))
    above: NDArray[np.int16] = (np.array(indices)[:, None] > thresholds).sum(axis=0).astype(np.int16)
    return above


def node_distances(
    cards: Sequence[ModelCard], others: Sequence[ModelCard], *, choices: Choices | None = None
) -> NDArray[np.float32]:
    """The node part of the graph edit distance of cards to other cards, shape `(len(cards), len(others))`.

    It is the L1 distance of the sorted block indices, filled up with zeros (`docs/ged.md`).

    Raises:
        NotInSpaceError: a card has a block that the choices do not have.
    """
    from scipy.spatial.distance import cdist

    sides = [_above(side, choices or Choices()) for side in (cards, others)]
    distances: NDArray[np.float32] = cdist(*sides, "cityblock").astype(np.float32)
    return distances
