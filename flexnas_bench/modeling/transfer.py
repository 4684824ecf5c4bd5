"""Weights from a trained neighbour (section 3.3.3): those of all layers, from the input on, that the cards share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from flexnas_bench.distance.overlap import THRESHOLD, biased_overlap
from flexnas_bench.errors import TransferRefusedError


@dataclass(frozen=True)
class Transfer:
    """What was taken over.

    Attributes:
        layers: number of layers, the biased overlap.
        fraction: of the query's layers.
        embeddings: whether those of words and types were too.
        head: whether the head was too.
    """

    layers: int
    fraction: float
    embeddings: bool
    head: bool


@torch.no_grad()
def transfer_weights(query: PreTrainedModel, donor: PreTrainedModel, threshold: float = THRESHOLD) -> Transfer:
    """Copies the weights of a trained neighbour where the cards begin alike, and leaves all others as they are.

    Layers of the biased overlap are copied, each with the projection at its end if both models have one of that shape
    (appendix A.1). Embeddings, and a head of the same kind, are where their shapes agree.

    Args:
        query: model to fill.
        donor: model to copy from.
        threshold: smallest overlap fraction that is accepted, 0 to 1; section 4.1 has 0.8, which with four layers or
            fewer means all of them.

    Raises:
        TransferRefusedError: the overlap fraction is under the threshold, or other settings do not fit together.
    """
    mine: Any = query.base_model
    theirs: Any = donor.base_model
    layers = biased_overlap(query.config.model_card, donor.config.model_card)
    fraction = layers / len(mine.layers)
    if fraction < threshold:
        raise TransferRefusedError(
            f"{layers} of {len(mine.layers)} layers in common, {fraction:.2f}, under {threshold:g}"
        )
    if query.config.max_position_embeddings != donor.config.max_position_embeddings:
        raise TransferRefusedError("the two models know different numbers of positions")
    if query.config.tie_word_embeddings != donor.config.tie_word_embeddings:
        raise TransferRefusedError("one of the two models has its output tied with its embeddings, and one has not")
    for layer, source in zip(mine.layers[:layers], theirs.layers[:layers], strict=True):
        for part, other in zip(layer.children(), source.children(), strict=True):
            _copy(part, other)
    return Transfer(layers, fraction, _copy(mine.embeddings, theirs.embeddings), _copy_head(query, donor))


def _copy_head(query: PreTrainedModel, donor: PreTrainedModel) -> bool:
    if query is query.base_model or type(query) is not type(donor):
        return False
    heads = [module for name, module in query.named_children() if name != query.base_model_prefix]
    others = [module for name, module in donor.named_children() if name != donor.base_model_prefix]
    return all(map(_copy, heads, others))


def _copy(part: nn.Module, source: nn.Module) -> bool:
    """Copies all parameters, or none if their shapes do not agree."""
    mine, theirs = part.state_dict(), source.state_dict()
    if {name: value.shape for name, value in mine.items()} != {name: value.shape for name, value in theirs.items()}:
        return False
    part.load_state_dict(theirs)
    return True
