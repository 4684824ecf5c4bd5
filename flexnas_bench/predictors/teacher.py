"""The teacher: a fully connected network whose dropout, kept on, samples functions (Gal and Ghahramani 2016)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class MCDropout(nn.Module):
    """A network g_S(x) with Monte-Carlo dropout; the spread of its samples is epistemic (paper section 3.4.2).

    Args:
        inputs: length of an input vector.
        hidden: widths of the hidden layers.
        dropout: probability that a hidden unit is dropped.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (64, 32), dropout: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(inputs, hidden[0]), nn.ReLU())
        rest: list[nn.Module] = [nn.Dropout(dropout)]
        for a, b in pairwise(hidden):
            rest += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
        self.rest = nn.Sequential(*rest, nn.Linear(hidden[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        """Predictions `(...)` of inputs `(..., inputs)`, a fresh dropout mask a point while training."""
        return self.sample(x, 1)[0]

    def sample(self, x: Tensor, samples: int) -> Tensor:
        """`samples` predictions of every input `(..., inputs)` in one tensor `(samples, ...)`.

        Nothing is dropped before the first hidden layer, so that is computed once for all samples.
        """
        features = self.first(x)
        predictions: Tensor = self.rest(features.expand(samples, *features.shape))
        return predictions.squeeze(-1)

    @torch.no_grad()
    def spread(self, x: Tensor, samples: int) -> Tensor:
        """Standard deviation xi over samples, `(...)`, dropout on whatever the mode; needs two samples or more."""
        mode = self.training
        self.train()
        deviation = self.sample(x, samples).std(dim=0)
        self.train(mode)
        return deviation
