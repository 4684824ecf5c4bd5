"""Closed forms against modules that are really built, and against the paper's Table 3."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from flexnas_bench import ModelCard, load_space
from flexnas_bench.cost import POSITIONS, TOKEN_TYPES, VOCABULARY

LENGTH = 8


def build(card: ModelCard) -> nn.Module:
    """The masked-LM model as nn modules, one by one, on the meta device."""
    with torch.device("meta"):
        parts = nn.ModuleList()
        first, last = card.layers[0].hidden, card.layers[-1].hidden
        parts += [nn.Embedding(VOCABULARY, first), nn.Embedding(TOKEN_TYPES, first), nn.LayerNorm(first)]
        for j, layer in enumerate(card.layers):
            h, d = layer.hidden, layer.hidden // layer.heads
            parts += [nn.Linear(h, h), nn.Linear(h, h), nn.Linear(h, h), nn.Embedding(2 * POSITIONS - 1, d)]
            if layer.operation == "SA":
                parts.append(nn.Linear(h, h))
                if layer.parameter == "WMA":
                    parts.append(nn.Bilinear(d, d, 1, bias=False))
            if layer.operation == "DSC":
                k = layer.parameter
                parts.append(nn.Conv1d(h, h, k, groups=h, bias=False))
                parts += [nn.Conv1d(h, h, 1), nn.Linear(h, layer.heads * k)]
            sizes = [h, *layer.feed_forward, h]
            parts += [nn.Linear(a, b) for a, b in pairwise(sizes)]
            parts += [nn.LayerNorm(h), nn.LayerNorm(h)]
            if j + 1 < card.num_layers and card.layers[j + 1].hidden != h:
                parts.append(nn.Linear(h, card.layers[j + 1].hidden))
        parts += [nn.Linear(last, first), nn.LayerNorm(first)]
        model = nn.Module()
        model.parts = parts
        model.vocabulary_bias = nn.Parameter(torch.empty(VOCABULARY))
    return model


@given(st.integers(0, load_space("g3").size - 1))
def test_parameters_are_those_of_the_modules(index):
    card = load_space("g3")[index]
    assert card.parameters == sum(p.numel() for p in build(card).parameters())


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("bert-mini", 16.6),
        ("flexibert-mini", 16.1),
        ("flexibert-mini-without-second-order", 7.2),
        ("flexibert-mini-without-heteroscedasticity", 20),
        ("flexibert-large", 319),
    ],
)
def test_parameters_are_near_the_papers(name, millions):
    assert ModelCard.named(name).parameters / 1e6 == pytest.approx(millions, rel=0.02)  # Tables 3 and 4


def self_attention_layer(card: ModelCard, n: int) -> None:
    """The matrix products of self-attention layers with relative keys, on meta tensors."""
    for layer in card.layers:
        h, heads = layer.hidden, layer.heads
        d = h // heads
        x = torch.empty(n, h, device="meta")
        for _ in range(4):  # query, key, value, output
            x @ torch.empty(h, h, device="meta")
        query = torch.empty(heads, n, d, device="meta")
        if layer.parameter == "WMA":
            query = query @ torch.empty(heads, d, d, device="meta")
        scores = query @ torch.empty(heads, d, n, device="meta")
        # relative keys: for every query its own n vectors, shared by the heads
        query.transpose(0, 1) @ torch.empty(n, d, n, device="meta")
        scores @ torch.empty(heads, n, d, device="meta")
        for width in (*layer.feed_forward, h):
            x = x @ torch.empty(x.shape[1], width, device="meta")


@pytest.mark.parametrize("name", ["bert-tiny", "bert-mini", "flexibert-mini-without-second-order"])
@pytest.mark.parametrize("length", [8, 128])
def test_flops_of_self_attention_are_those_that_torch_counts(name, length):
    card = ModelCard.named(name)
    with FlopCounterMode(display=False) as counter:
        self_attention_layer(card, length)
    assert card.flops(length) == counter.get_total_flops()


def test_flops_of_a_transform_by_hand():
    layer = ModelCard.named("fnet-tiny").layers[0]
    card = ModelCard((layer,))
    linear = 2 * LENGTH * (3 * 128 * 128 + 2 * 128 * 512)  # query, value, output; feed-forward
    attention = 2 * 2 * LENGTH * LENGTH * 128  # scores of relative positions, weighted sum
    transform = 5 * LENGTH * 128 * (3 + 7)  # 2 ** 3 points one way, 2 ** 7 the other
    assert card.flops(LENGTH) == linear + attention + transform


def test_flops_of_a_convolution_by_hand():
    card = ModelCard((ModelCard.named("convbert-tiny").layers[0],))
    linear = 2 * LENGTH * (3 * 128 * 128 + 2 * 128 * 512)
    attention = 2 * 2 * LENGTH * LENGTH * 128
    span_keys = 2 * LENGTH * (128 * 9 + 128 * 128)  # depthwise, then pointwise
    kernels = 2 * LENGTH * 128 * (2 * 9)  # nine weights for each of two heads
    convolution = 2 * LENGTH * 128 * 9
    assert card.flops(LENGTH) == linear + attention + span_keys + kernels + convolution


def test_a_projection_costs_only_where_widths_differ():
    narrow, wide = ModelCard.named("bert-tiny").layers[0], ModelCard.named("bert-mini").layers[0]
    alone = ModelCard((narrow,)).flops(LENGTH) + ModelCard((wide,)).flops(LENGTH)
    assert ModelCard((narrow, wide)).flops(LENGTH) == alone + 2 * LENGTH * 128 * 256
