"""The naive embedding: every choice as zeros and a one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import Embedding, Vectors, check_layers, typical_cards
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices, DesignSpace


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
        bits = np.stack([self._card_bits(card) for card in typical_cards(space)])
        rates = bits.mean(axis=0)
        self._kept = np.flatnonzero((rates > 0) & (rates < 1))
        self._rates = rates[self._kept]
        self._scale = np.sqrt(self._rates * (1 - self._rates))

    @property
    def features(self) -> Vectors:
        """The matrix, standardised as it is."""
        return self.matrix

    def vector(self, card: ModelCard) -> Vectors:
        """Standardised features of a card, shape `(dim,)`."""
        standardised: NDArray[np.float64] = (self._card_bits(card)[self._kept] - self._rates) / self._scale
        return standardised.astype(np.float32)

    def _card_bits(self, card: ModelCard) -> NDArray[np.float64]:
        check_layers(self.space, card, self._bits)
        depths = np.equal(self._choices.layers, card.num_layers).astype(float)
        width = len(next(iter(self._bits.values())))
        rows = np.zeros((self._depth, width))
        for j, layer in enumerate(card.layers):
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
