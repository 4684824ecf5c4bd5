"""Where predictions may be believed: near cards that were trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from flexnas_bench.card import ModelCard
from flexnas_bench.layer import EncoderLayer

#: Trained cards that must have something before another with it is in support.
FEWEST_ALIKE = 5


class Support:
    """What occurs in trained cards: their depths, the values of their layers, and what they mix.

    Each of these is looked at by itself, and is there if five cards have it.

    Args:
        cards: the trained cards.
    """

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        counts = Counter(trait for card in cards for trait in set(_traits(card)))
        self._traits = frozenset(trait for trait, count in counts.items() if count >= FEWEST_ALIKE)
        self._layers: dict[EncoderLayer, bool] = {}  # those that were looked at, as cards have few different ones

    def lacking(self, card: ModelCard) -> list[str]:
        """What a card has that trained cards lack, in words; nothing of a card in support."""
        missing = dict.fromkeys(trait for trait in _traits(card) if trait not in self._traits)
        return [f"{name} {value}".strip() for name, value in missing]

    def __contains__(self, card: ModelCard) -> bool:
        """Whether trained cards have all that this one has."""
        for layer in card.layers:
            if layer not in self._layers:
                self._layers[layer] = self._traits.issuperset(_of_layer(layer))
        return self._traits.issuperset(_of_whole(card)) and all(self._layers[layer] for layer in card.layers)


def _traits(card: ModelCard) -> Iterator[tuple[str, Any]]:
    yield from _of_whole(card)
    for layer in card.layers:
        yield from _of_layer(layer)


def _of_whole(card: ModelCard) -> list[tuple[str, Any]]:
    mixed = any(layer.hidden != card.layers[0].hidden for layer in card.layers)
    return [("depth", card.num_layers), *([("different hidden sizes in one card", "")] if mixed else [])]


def _of_layer(layer: EncoderLayer) -> list[tuple[str, Any]]:
    mixed = len(set(layer.feed_forward)) > 1
    return [
        ("operation", f"{layer.operation}-{layer.parameter}"),
        ("hidden size", layer.hidden),
        ("heads", layer.heads),
        ("feed-forward stacks of", len(layer.feed_forward)),
        *(("feed-forward width", width) for width in layer.feed_forward),
        *([("different widths in one feed-forward stack", "")] if mixed else []),
    ]
