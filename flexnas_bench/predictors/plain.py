"""A plain network with an NPN's face: a mean, and no spread; what the ablation of Figure 4(b) puts in its place."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class PlainNetwork(nn.Module):
    """A fully connected ReLU network f_S(x) = (mu, 0).

    Args:
        inputs: length of an input vector.
        hidden: widths of the hidden layers.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (32, 32)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise([inputs, *hidden]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and zeros, each `(...)`, of inputs `(..., inputs)`."""
        mean: Tensor = self.net(x).squeeze(-1)
        return mean, torch.zeros_like(mean)


def squared_loss(prediction: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """Mean squared error of the means."""
    return (prediction[0] - target).square().mean()
