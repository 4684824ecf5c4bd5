"""Parameters and FLOPs of an encoder by closed form, so that no model need be built to count them.

What is counted, per layer of hidden size h with n heads of size d = h / n (paper sections 3.1 and A.1):

* every operation: query, value and output maps (h x h, with bias) and trained relative positions
  (2P - 1) x d; LT and DSC need them for the relative attention that is added to their output;
* SA: a key map as well, and for WMA the d x d matrix W_a, shared by the heads;
* LT: the transform itself has no parameters;
* DSC: span keys by a separable convolution (h x k, then h x h with bias) and a map h -> n k that
  generates the kernels, as in ConvBERT;
* a feed-forward chain h -> f_1 -> ... -> f_m -> h with biases, and two layer norms;
* an affine projection to the next layer where the hidden sizes differ.

Around them: token embeddings (tied with the output), two token types, a layer norm, and the masked-LM head
(map from the last to the first hidden size, layer norm, vocabulary bias). Positions are relative only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import log2

from flexnas_bench.layer import EncoderLayer

VOCABULARY = 50_265
POSITIONS = 512
TOKEN_TYPES = 2


def count_parameters(layers: Sequence[EncoderLayer]) -> int:
    """Trainable parameters of the masked-LM model with these layers, vocabulary 50,265, 512 positions."""
    first, last = layers[0].hidden, layers[-1].hidden
    embeddings = VOCABULARY * first + TOKEN_TYPES * first + 2 * first
    head = _affine(last, first) + 2 * first + VOCABULARY
    return embeddings + head + sum(map(_layer_parameters, layers)) + _projections(layers)


def count_flops(layers: Sequence[EncoderLayer], seq_len: int) -> int:
    """FLOPs of one forward pass of the encoder over one sequence of `seq_len` tokens.

    A multiply-add counts as two. A complex FFT of n points counts 5 n log2 n, a real cosine transform half
    of that. Embedding look-ups, norms, softmax, activations, biases and the language-model head are left out.
    """
    projections = sum(a.hidden * b.hidden for a, b in pairwise(layers) if a.hidden != b.hidden)
    return sum(_layer_flops(layer, seq_len) for layer in layers) + 2 * seq_len * projections


def _affine(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _chain(layer: EncoderLayer) -> list[tuple[int, int]]:
    return list(pairwise((layer.hidden, *layer.feed_forward, layer.hidden)))


def _projections(layers: Sequence[EncoderLayer]) -> int:
    return sum(_affine(a.hidden, b.hidden) for a, b in pairwise(layers) if a.hidden != b.hidden)


@lru_cache(maxsize=10_000)  # cards have few different layers
def _layer_parameters(layer: EncoderLayer) -> int:
    hidden, head_size = layer.hidden, layer.hidden // layer.heads
    count = 3 * _affine(hidden, hidden) + (2 * POSITIONS - 1) * head_size  # query, value, output, positions
    count += sum(_affine(a, b) for a, b in _chain(layer)) + 2 * 2 * hidden
    if layer.operation == "SA":
        count += _affine(hidden, hidden)
        count += head_size**2 if layer.parameter == "WMA" else 0
    elif layer.operation == "DSC":
        kernel = int(layer.parameter)
        count += hidden * kernel + _affine(hidden, hidden) + _affine(hidden, layer.heads * kernel)
    return count


def _layer_flops(layer: EncoderLayer, n: int) -> int:
    hidden, head_size = layer.hidden, layer.hidden // layer.heads
    square = 2 * n * hidden**2
    attention = 2 * n * n * hidden  # one product of the length-by-length matrices, all heads together
    flops = 3 * square + 2 * attention + sum(2 * n * a * b for a, b in _chain(layer))
    if layer.operation == "SA":
        flops += square + attention
        flops += 2 * n * hidden * head_size if layer.parameter == "WMA" else 0
    elif layer.operation == "LT":
        points = 5 * n * hidden * (log2(n) + log2(hidden))
        flops += round(points if layer.parameter == "DFT" else points / 2)
    else:
        kernel = int(layer.parameter)
        flops += square + 2 * n * hidden * kernel * (2 + layer.heads)
    return flops
