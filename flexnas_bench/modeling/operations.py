"""The operations of encoder layers (paper section 3.1 and appendix A.1), batch and heads at once.

All have queries, values and trained relative positions. SA has keys beside them. To attention by relative positions
alone (section 3.1.2), LT adds a transform of its input, and DSC the values weighted by kernels made for each position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from flexnas_bench.layer import EncoderLayer
from flexnas_bench.modeling.attention import attend, attend_in_blocks
from flexnas_bench.modeling.config import FlexiBertConfig
from flexnas_bench.modeling.sentences import Sentences
from flexnas_bench.modeling.transforms import by_groups, dct, dct_by_matrices, dft, dft_by_matrices


class Operation(nn.Module):
    """What is common: maps of the input to heads, relative positions, and a map of what the heads found.

    Attributes:
        maps: to queries, values and, for SA, keys, one after another.
        distances: vectors of the distances from query to key, -(P - 1) to P - 1, shared by the heads.
        output: of all heads.
    """

    count = 2  # maps

    def __init__(self, layer: EncoderLayer, config: FlexiBertConfig) -> None:
        super().__init__()
        self.heads, self.head_size = layer.heads, layer.hidden // layer.heads
        self.maps = nn.Linear(layer.hidden, self.count * layer.hidden)
        self.distances = nn.Parameter(torch.empty(2 * config.max_position_embeddings - 1, self.head_size))
        self.output = nn.Linear(layer.hidden, layer.hidden)
        self.config = config

    def reset(self) -> None:
        """Draws the parameters anew that are not of a module inside."""
        init.normal_(self.distances, std=self.config.initializer_range)

    def split(self, maps: Tensor) -> tuple[Tensor, ...]:
        """`batch x n x (maps h)` as tensors `batch x heads x n x d`."""
        batch, n, _ = maps.shape
        parts = maps.view(batch, n, self.count, self.heads, self.head_size).permute(2, 0, 3, 1, 4)
        return parts.contiguous().unbind()

    def attend(
        self, query: Tensor, key: Tensor | None, value: Tensor, sentences: Sentences, kernels: Tensor | None = None
    ) -> Tensor:
        """What the heads find by relative positions, and otherwise, mapped: `batch x n x h`."""
        attention = attend_in_blocks if self._in_blocks(query) else attend
        dropout = self.config.attention_probs_dropout_prob if self.training else 0.0
        distances = self.distances.to(query.dtype)
        scaled = query * self.head_size**-0.5
        found = attention(scaled, key, value, distances, sentences.scores, kernels, dropout)
        return self.output(found.transpose(1, 2).flatten(2))

    def _in_blocks(self, x: Tensor) -> bool:
        """On a CPU, unless plain operations are wanted, or needed."""
        wanted = self.config._attn_implementation != "eager" and not torch.compiler.is_compiling()
        return wanted and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


class SelfAttention(Operation):
    """SA: with SDP, `q k / sqrt(d)`; with WMA, `q W k`, where W is shared by the heads and begins as SDP."""

    count = 3

    def __init__(self, layer: EncoderLayer, config: FlexiBertConfig) -> None:
        super().__init__(layer, config)
        size = (self.head_size, self.head_size)
        self.similarity = nn.Parameter(torch.empty(size)) if layer.parameter == "WMA" else None

    def reset(self) -> None:
        """Draws anew, and sets W to what SDP has."""
        super().reset()
        if self.similarity is not None:
            init.copy_(self.similarity, torch.eye(self.head_size) * self.head_size**-0.5)

    def forward(self, x: Tensor, sentences: Sentences) -> Tensor:
        """`batch x n x h` to the same."""
        query, value, key = self.split(self.maps(x))
        if self.similarity is not None:
            key = key @ self.similarity.T * self.head_size**0.5  # as the query will be divided by that
        return self.attend(query, key, value, sentences)


class LinearTransform(Operation):
    """LT: the real part of the DFT over tokens and features, or their DCT; orthonormal, without parameters."""

    def __init__(self, layer: EncoderLayer, config: FlexiBertConfig) -> None:
        super().__init__(layer, config)
        self.kind = layer.parameter

    def forward(self, x: Tensor, sentences: Sentences) -> Tensor:
        """`batch x n x h` to the same."""
        query, value = self.split(self.maps(x))
        return self._transform(sentences.cleared(x), sentences) + self.attend(query, None, value, sentences)

    def _transform(self, x: Tensor, sentences: Sentences) -> Tensor:
        if sentences.groups:
            return by_groups(x, sentences.groups, dft if self.kind == "DFT" else dct)
        if self.kind == "DFT":
            return dft(x) if sentences.dft is None else dft_by_matrices(x, *sentences.dft)
        return dct(x) if sentences.dct is None else dct_by_matrices(x, sentences.dct)


class Depthwise(nn.Conv1d):
    """A convolution of `batch x n x h` along n, each feature by itself."""

    def forward(self, x: Tensor) -> Tensor:
        """`batch x n x h` to the same."""
        images = x.transpose(1, 2).unsqueeze(2)  # a row of pixels with their channels last: several times as fast
        weight, padding = self.weight.unsqueeze(2), (0, self.kernel_size[0] // 2)
        return functional.conv2d(images, weight, padding=padding, groups=self.groups).squeeze(2).transpose(1, 2)


class SpanConvolution(Operation):
    """DSC: dynamic span convolution (Jiang et al. 2020), with kernels made for each position."""

    def __init__(self, layer: EncoderLayer, config: FlexiBertConfig) -> None:
        super().__init__(layer, config)
        hidden, self.size = layer.hidden, int(layer.parameter)
        self.depthwise = Depthwise(hidden, hidden, self.size, padding=self.size // 2, groups=hidden, bias=False)
        self.pointwise = nn.Linear(hidden, hidden)
        self.kernels = nn.Linear(hidden, layer.heads * self.size)

    def forward(self, x: Tensor, sentences: Sentences) -> Tensor:
        """`batch x n x h` to the same."""
        maps = self.maps(x)
        query, value = self.split(maps)
        spans = self.pointwise(self.depthwise(sentences.cleared(x)))
        kernels = self.kernels(spans * maps[..., : x.shape[-1]]).unflatten(-1, (self.heads, self.size)).softmax(-1)
        if sentences.tokens is not None:
            value = value * sentences.tokens[:, None]
        return self.attend(query, None, value, sentences, kernels.transpose(1, 2).contiguous())


#: The operation of each name that a card can have.
OPERATIONS: dict[str, type[Operation]] = {"SA": SelfAttention, "LT": LinearTransform, "DSC": SpanConvolution}
