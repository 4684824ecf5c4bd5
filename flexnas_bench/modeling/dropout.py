"""Dropout that is cheap on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 2**16  # a decision takes sixteen random bits


def kept(shape: torch.Size, p: float, like: Tensor) -> Tensor:
    """Random decisions to keep a value, True with probability `1 - p` to a 65,536th.

    One call of the generator decides on four values, where `bernoulli_` takes one each, and several times as long.
    """
    count = shape.numel()
    bits = torch.randint(-(2**63), 2**63 - 1, ((count + 3) // 4,), device=like.device).view(torch.int16)
    return bits[:count].view(shape) >= round(p * _LEVELS) - _LEVELS // 2


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, with `kept` on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape and type of x."""
        if not self.training or not 0 < self.p < 1 or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        return x * kept(x.shape, self.p, x).to(x.dtype).mul_(1 / (1 - self.p))
