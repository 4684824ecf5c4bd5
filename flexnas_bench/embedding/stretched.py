"""Cards of every depth stretched to one length: what a layer is, at four relative depths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import Embedding, Vectors, check_layers, typical_cards
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import DesignSpace

_QUARTERS = 4
_DEPTH, _PARAMETERS = 4.0, 2.0  # what these two weigh; a decision that all layers share weighs 1


class Stretched(Embedding):
    """The decisions of a card at four relative depths, its depth, and its number of parameters.

    Unlike in `OneHot`, the last layer of a shallow card and that of a deep one are at the same place, sizes are
    numbers on a logarithmic scale, so that they have an order, and what concerns the whole card weighs more than what
    concerns a layer. A card deeper than four layers is averaged quarter by quarter; up to four layers no two cards have
    the same vector.
    """

    name = "stretched"

    def __init__(self, space: DesignSpace) -> None:
        super().__init__(space)
        layers = space.choices.layer_choices
        self._places = {layer: place for place, layer in enumerate(layers)}
        self._rows = np.stack([self._describe(layer) for layer in layers])
        sizes = np.log([card.parameters for card in typical_cards(space)])
        self._mean, self._deviation = float(sizes.mean()), max(float(sizes.std()), 1e-12)

    def vector(self, card: ModelCard) -> Vectors:
        """Features of a card, shape `(dim,)`; raises `NotInSpaceError` for a depth or layer that the space lacks."""
        vector: Vectors = self.vectors([card])[0]
        return vector

    def vectors(self, cards: Sequence[ModelCard]) -> Vectors:
        """Features of many cards, shape `(len(cards), dim)`; raises as `vector` does."""
        width = _QUARTERS * self._rows.shape[1]
        found = np.empty((len(cards), width + 2), np.float32)
        depths = np.array([card.num_layers for card in cards])
        for depth in np.unique(depths).tolist():
            inside = np.flatnonzero(depths == depth).tolist()
            layers = self._rows[[self._layers(cards[i]) for i in inside]]  # cards, depth, features of a layer
            quarters = (_shares(depth) @ layers).reshape(len(inside), width)
            sizes = np.log([cards[i].parameters for i in inside])
            found[inside, :width] = quarters / np.sqrt(_QUARTERS)
            found[inside, width] = _DEPTH * _between(depth, self.space.choices.layers)
            found[inside, width + 1] = _PARAMETERS * ((sizes - self._mean) / self._deviation)
        return found

    def _layers(self, card: ModelCard) -> list[int]:
        """Rows of the layers of a card."""
        try:
            if card.num_layers in self.space.choices.layers:
                return [self._places[layer] for layer in card.layers]
        except KeyError:
            pass
        check_layers(self.space, card, self._places)
        raise AssertionError  # the check says why

    def _describe(self, layer: EncoderLayer) -> NDArray[np.float64]:
        """Operation as zeros and a one, sizes from -1 to 1."""
        choices = self.space.choices
        operation = [float(option == (layer.operation, layer.parameter)) for option in choices.operations]
        widths = [_between(width, choices.feed_forward) for width in layer.feed_forward]
        if choices.heterogeneous_feed_forward:
            highest = max(choices.feed_forward_stacks)
            widths = [width / np.sqrt(highest) for width in widths] + [0.0] * (highest - len(widths))
        else:
            widths = widths[:1]
        sizes = _between(layer.hidden, choices.hidden), _between(layer.heads, choices.heads)
        height = _between(len(layer.feed_forward), choices.feed_forward_stacks)
        return np.array([*operation, *sizes, *widths, height])


def _between(value: int, options: Sequence[int]) -> float:
    """Where a value lies on a logarithmic scale from the smallest option, -1, to the largest, 1."""
    low, value_log, high = np.log([min(options), value, max(options)])
    return 0.0 if low == high else float(2 * (value_log - low) / (high - low) - 1)


def _shares(depth: int) -> NDArray[np.float64]:
    """How much of each quarter of the depth each layer takes up, shape `(4, depth)`; rows sum to 1."""
    edges = np.arange(depth + 1) / depth
    quarters = np.arange(_QUARTERS + 1)[:, None] / _QUARTERS
    overlap = np.minimum(edges[1:], quarters[1:]) - np.maximum(edges[:-1], quarters[:-1])
    shares: NDArray[np.float64] = np.clip(overlap, 0, None) * _QUARTERS
    return shares
