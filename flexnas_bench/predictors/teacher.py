"""The teacher: a fully connected network whose dropout, kept on, samples functions (Gal and Ghahramani 2016)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout


class MCDropout(nn.Module):
    """A network g_S(x) with Monte-Carlo dropout; the spread of its samples is epistemic (paper section 3.4.2).

    Args:
        inputs: length of an input vector.
        hidden: widths of the hidden layers.
        rate: probability that a hidden unit is dropped.
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (64, 32), rate: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([inputs, *hidden, 1]))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Predictions `(...)` of inputs `(..., inputs)`, a fresh dropout mask a point while training."""
        first, *rest = self.layers
        out: Tensor = first(x)
        for layer in rest:
            out = layer(dropout(out.relu(), self.rate, self.training))
        return out.squeeze(-1)

    @torch.no_grad()
    def spread(self, x: Tensor, samples: int) -> Tensor:
        """Standard deviation xi over two samples or more, `(n,)`, of inputs `(n, inputs)`; dropout is on in any mode.

        A sample is a function: a unit that it drops, it drops at all points. So the spread is as smooth as the network.
        """
        first, *rest = self.layers
        out: Tensor = first(x)  # nothing is dropped before this, so it is the same for all samples
        for layer in rest:
            masks = dropout(out.new_ones(samples, 1, out.shape[-1]), self.rate)
            out = layer(out.relu() * masks)
        return out.squeeze(-1).std(dim=0)
