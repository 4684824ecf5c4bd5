"""A card as decisions: named choices among options, as policies and samplers over categories want them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotInSpaceError
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space.choices import Choices

Option = Any  # what one of the options below is: a number, or a tuple of numbers and names


class Decisions:
    """What is decided for a card of given choices: the number of layers, and then three things a stack.

    Attributes:
        options: the options of every decision by its name, in order: `layers`; `stack1.operation`, with its parameter;
            `stack1.size`, hidden size and heads; `stack1.feed_forward`, the widths of the feed-forward stack; and so on
            for as many stacks as the deepest card has. A shallow card leaves out the later ones.

    >>> from flexnas_bench import ModelCard, load_space
    >>> decisions = load_space("homogeneous").decisions
    >>> decisions.of(ModelCard.named("bert-tiny"))
    {'layers': 2, 'stack1.operation': ('SA', 'SDP'), 'stack1.size': (128, 2), 'stack1.feed_forward': (512,)}
    >>> decisions.card(decisions.of(ModelCard.named("bert-tiny"))) == ModelCard.named("bert-tiny")
    True
    """

    options: dict[str, tuple[Option, ...]]

    def __init__(self, choices: Choices) -> None:
        self._repeat = choices.layers_per_stack
        layers = choices.layer_choices
        self.options = {"layers": choices.layers}
        for stack in range(max(map(self.stacks, choices.layers))):
            self.options[f"stack{stack + 1}.operation"] = choices.operations
            self.options[f"stack{stack + 1}.size"] = tuple(dict.fromkeys((one.hidden, one.heads) for one in layers))
            self.options[f"stack{stack + 1}.feed_forward"] = tuple(dict.fromkeys(one.feed_forward for one in layers))

    def stacks(self, layers: int) -> int:
        """Number of stacks of a card of so many layers."""
        return layers // (self._repeat or layers)

    def names(self, layers: int) -> list[str]:
        """Names of the decisions that a card of so many layers has, in order."""
        return list(self.options)[: 1 + 3 * self.stacks(layers)]

    def of(self, card: ModelCard) -> dict[str, Option]:
        """The option that a card takes of each of its decisions; raises `NotInSpaceError` where there is none."""
        values: list[Option] = [card.num_layers]
        for layer in card.layers[:: self._repeat or card.num_layers]:
            values += [(layer.operation, layer.parameter), (layer.hidden, layer.heads), layer.feed_forward]
        for (name, options), value in zip(self.options.items(), values, strict=False):
            if value not in options:
                raise NotInSpaceError(f"{name} has no option {value}")
        return dict(zip(self.options, values, strict=False))

    def card(self, values: Mapping[str, Option]) -> ModelCard:
        """The card of these options; decisions that it does not have are ignored."""
        depth = values["layers"]
        layers: list[EncoderLayer] = []
        for stack in range(1, self.stacks(depth) + 1):
            operation, parameter = values[f"stack{stack}.operation"]
            hidden, heads = values[f"stack{stack}.size"]
            layer = EncoderLayer(operation, parameter, hidden, heads, values[f"stack{stack}.feed_forward"])
            layers += [layer] * (self._repeat or depth)
        return ModelCard(tuple(layers))
