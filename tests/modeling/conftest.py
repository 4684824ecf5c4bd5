"""Small cards, models of them, and plain readings of the formulas."""

import pytest
import torch
from hypothesis import strategies as st
from transformers import logging

from flexnas_bench import EncoderLayer, ModelCard, load_space
from flexnas_bench.modeling import FlexiBertConfig

logging.set_verbosity_error()
logging.disable_progress_bar()

OPERATIONS = [("SA", "SDP"), ("SA", "WMA"), ("LT", "DFT"), ("LT", "DCT"), ("DSC", 5), ("DSC", 9)]

_layers = st.builds(
    lambda operation, heads, size, widths: EncoderLayer(*operation, heads * size, heads, widths),
    st.sampled_from([*OPERATIONS, ("DSC", 1)]),
    st.integers(1, 4),
    st.integers(1, 6),
    st.lists(st.integers(1, 16), min_size=1, max_size=3).map(tuple),
)
#: Cards that a test can afford to run, of all operations, with widths that differ.
small_cards = st.lists(_layers, min_size=1, max_size=5).map(lambda layers: ModelCard(tuple(layers)))
#: Cards of the paper's spaces.
space_cards = st.sampled_from(["g1", "g2", "g3"]).flatmap(
    lambda name: st.integers(0, load_space(name).size - 1).map(lambda i: load_space(name)[i])
)


def small_config(card: ModelCard, **settings: object) -> FlexiBertConfig:
    """Few words and positions, so that nothing but the layers takes time."""
    return FlexiBertConfig(card, vocab_size=50, max_position_embeddings=32, **settings)


def initialised(kind, config, seed=0):
    """A model in float64, with weights large enough that all terms count."""
    torch.manual_seed(seed)
    model = kind(config).double().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "norm" not in name:
                value.normal_(std=0.3)
    return model


def plain_attention(query, key, value, distances, mask=None):
    """Section 3.1.2 and Shaw et al. (2018), equation 5, entry by entry."""
    batch, heads, n, d = query.shape
    center = len(distances) // 2
    found = torch.zeros_like(value)
    for b in range(batch):
        for h in range(heads):
            for i in range(n):
                scores = torch.empty(n, dtype=query.dtype)
                for j in range(n):
                    by_key = 0 if key is None else query[b, h, i] @ key[b, h, j]
                    scores[j] = (by_key + query[b, h, i] @ distances[center + j - i]) / d**0.5
                    if mask is not None and not mask[b, j]:
                        scores[j] = -torch.inf
                found[b, h, i] = scores.softmax(0) @ value[b, h]
    return found


def plain_convolution(kernels, value):
    """Values weighted by kernels around each position, entry by entry."""
    n, k = value.shape[2], kernels.shape[-1]
    found = torch.zeros_like(value)
    for i in range(n):
        for t in range(k):
            if 0 <= (j := i + t - k // 2) < n:
                found[:, :, i] += kernels[:, :, i, t, None] * value[:, :, j]
    return found


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small matrices, and other tests on the other cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def padded():
    """Three sentences of 7, 4 and 1 tokens in a batch of 7: ids and mask."""
    torch.manual_seed(1)
    mask = torch.zeros(3, 7, dtype=torch.long)
    for row, length in enumerate((7, 4, 1)):
        mask[row, :length] = 1
    ids = torch.where(mask.bool(), torch.randint(3, 50, (3, 7)), 1)
    return ids, mask
