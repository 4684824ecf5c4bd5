"""The student: a smooth network that learns the teacher's spread, so that it has exact gradients."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class Student(nn.Module):
    """A network h_S(x) > 0 that predicts the teacher's spread xi in one pass (paper section 3.4.2).

    Args:
        inputs: length of an input vector.
        hidden: widths of the hidden layers.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (64, 32)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise([inputs, *hidden]):
            layers += [nn.Linear(a, b), nn.Softplus()]
        self.net = nn.Sequential(*layers, nn.Linear(hidden[-1], 1), nn.Softplus())

    def forward(self, x: Tensor) -> Tensor:
        """Predicted spread `(...)` of inputs `(..., inputs)`."""
        spread: Tensor = self.net(x)
        return spread.squeeze(-1)
