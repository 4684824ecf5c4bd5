"""Model cards: the paper's dictionary `{l, o, h, n, f, p}` as a validated, immutable value (section 3.1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from flexnas_bench.cost import count_flops, count_parameters
from flexnas_bench.errors import InvalidCardError, shown
from flexnas_bench.graph import BlockGraph
from flexnas_bench.layer import MAX_LAYERS, EncoderLayer
from flexnas_bench.named import NAMED_CARDS

if TYPE_CHECKING:
    import networkx as nx

_LISTS = ("o", "h", "n", "f", "p")
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class ModelCard:
    """An encoder of the FlexiBERT space, as a tuple of its layers from input to output.

    >>> card = ModelCard.named("bert-tiny")
    >>> card.num_layers, card.layers[0].label
    (2, 'h128/SA-SDP')
    >>> ModelCard.from_json(card.to_json()) == card
    True
    """

    layers: tuple[EncoderLayer, ...]

    def __post_init__(self) -> None:
        if len(self.layers) > MAX_LAYERS:
            raise InvalidCardError(f"field l: {len(self.layers)} layers are more than {MAX_LAYERS:,}")
        if not self.layers or not all(isinstance(layer, EncoderLayer) for layer in self.layers):
            raise InvalidCardError("field l: a card needs at least one layer, each an EncoderLayer")
        object.__setattr__(self, "layers", tuple(self.layers))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """The card of a dictionary `{l, o, h, n, f, p}`.

        Operations and parameters are read in any case, `l` and `c` as LT and DSC.

        Raises:
            InvalidCardError: naming the field, and the layer counted from 1, at fault.
        """
        if not isinstance(values, Mapping):
            raise InvalidCardError(f"a model card is a dictionary with fields l, o, h, n, f, p, not {values!r:.60}")
        depth = _check_shape(values)
        layers = []
        for j in range(depth):
            try:
                layers.append(EncoderLayer.read(*(values[field][j] for field in _LISTS)))
            except InvalidCardError as error:
                raise InvalidCardError(f"layer {j + 1}, {error}") from None
        return cls(tuple(layers))

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card of a JSON text; raises `InvalidCardError` for text that is no JSON or no card."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidCardError(f"not JSON: {error}") from None
        return cls.from_dict(values)

    @classmethod
    def named(cls, name: str) -> ModelCard:
        """A card of the literature: `bert-tiny`, `fnet-mini`, `flexibert-mini`, ... (`NAMED_CARDS` has all)."""
        try:
            return cls.from_dict(NAMED_CARDS[str(name).lower()])
        except KeyError:
            known = ", ".join(NAMED_CARDS)
            raise InvalidCardError(f"no card is named {shown(name)}; known: {known}, or a JSON, or a hash") from None

    def to_dict(self) -> dict[str, Any]:
        """The paper's dictionary, with the paper's spelling of every value."""
        return {
            "l": self.num_layers,
            "o": [layer.operation for layer in self.layers],
            "h": [layer.hidden for layer in self.layers],
            "n": [layer.heads for layer in self.layers],
            "f": [list(layer.feed_forward) for layer in self.layers],
            "p": [layer.parameter for layer in self.layers],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON on one line."""
        return json.dumps(self.to_dict())

    @property
    def num_layers(self) -> int:
        """Number of encoder layers l."""
        return len(self.layers)

    @cached_property
    def hash(self) -> str:
        """Hash of the computational graph, 64 hex digits (see `BlockGraph.hash`)."""
        return BlockGraph.of(self.layers).hash

    @cached_property
    def parameters(self) -> int:
        """Trainable parameters of the masked-LM model (see `flexnas_bench.cost`)."""
        return count_parameters(self.layers)

    def flops(self, seq_len: int = 128) -> int:
        """FLOPs of one forward pass over one sequence of `seq_len` tokens (see `flexnas_bench.cost`)."""
        if seq_len < 1:
            raise InvalidCardError(f"seq_len: {seq_len} is not a positive length")
        return count_flops(self.layers, seq_len)

    def graph(self) -> nx.DiGraph:
        """The block-level computational graph, each node with an attribute `label` (Figure 2)."""
        return BlockGraph.of(self.layers).to_networkx()


@cache
def names_by_hash() -> Mapping[str, str]:
    """Names of the cards of the literature by their hashes."""
    return {ModelCard.named(name).hash: name for name in NAMED_CARDS}


def is_hash(text: object) -> bool:
    """Whether a text has the form of a card's hash: 64 hex digits in lower case."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def _check_shape(values: Mapping[str, Any]) -> int:
    """Checks fields and list lengths; returns the depth."""
    fields = {"l", *_LISTS}
    if missing := sorted(fields - values.keys()):
        raise InvalidCardError(f"field {missing[0]}: missing")
    if extra := sorted(str(field) for field in values.keys() - fields):
        raise InvalidCardError(f"field {extra[0]}: unknown; a model card has l, o, h, n, f, p")
    depth = values["l"]
    if type(depth) is not int or depth < 1:
        raise InvalidCardError(f"field l: {shown(depth)} is not a positive whole number")
    for field in _LISTS:
        if not isinstance(values[field], list | tuple):
            raise InvalidCardError(f"field {field}: not a list with one entry a layer")
        if len(values[field]) != depth:
            raise InvalidCardError(f"field {field}: {len(values[field])} entries for {depth} layers")
    return depth
