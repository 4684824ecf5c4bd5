"""The student: a smooth network that learns the teacher's spread, so that it has exact gradients."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

_SOFTPLUS_ONE = math.log(math.e - 1)  # softplus of this is 1


class Student(nn.Module):
    """A network h_S(x) > 0 that predicts the teacher's spread xi in one pass (paper section 3.4.2).

    Args:
        inputs: length of an input vector.
        hidden: widths of the hidden layers.
        scale: a typical spread; about what an unfitted student predicts.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (64, 32), scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = []
        for a, b in pairwise([inputs, *hidden]):
            layers += [nn.Linear(a, b), nn.Softplus()]
        last = nn.Linear(hidden[-1], 1)
        nn.init.constant_(last.bias, _SOFTPLUS_ONE)
        self.net = nn.Sequential(*layers, last, nn.Softplus())

    def forward(self, x: Tensor) -> Tensor:
        """Predicted spread `(...)` of inputs `(..., inputs)`."""
        spread: Tensor = self.net(x)
        return self.scale * spread.squeeze(-1)
