"""Dropout that is cheap on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 2**16  # a decision takes sixteen random bits


def dropout_factors(shape: torch.Size, p: float, like: Tensor) -> Tensor:
    """What to multiply values with: 0 with probability p, to a 65,536th, and otherwise what makes up for that.

    One call of the generator decides on four values, where `bernoulli_` takes one each, and several times as long.

    Args:
        shape: of the values.
        p: 0 to 1.
        like: a tensor of the type and device that the factors shall have.
    """
    dropped, count = round(p * _LEVELS), shape.numel()
    if dropped == _LEVELS:
        return torch.zeros(shape, dtype=like.dtype, device=like.device)
    bits = torch.randint(-(2**63), 2**63 - 1, ((count + 3) // 4,), device=like.device).view(torch.int16)
    kept = bits[:count].view(shape) >= dropped - _LEVELS // 2
    return kept.to(like.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, with `dropout_factors` on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape and type of x."""
        if not self.training or not self.p or x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        return x * dropout_factors(x.shape, self.p, x)
