"""Natural-parameter networks: a mean and a variance flow through every layer (Wang, Shi and Yeung 2016).

The Gaussian network, in which weights, biases and activations are independent normal variables. A layer maps
the mean and variance of its input to the mean and variance of its output in closed form.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

_TINY = 1e-12


class NPNLinear(nn.Module):
    """An affine map with normal weights and biases: exact mean and variance of its output.

    With x ~ (m, s), W ~ (W_m, W_s) and b ~ (b_m, b_s) independent (means and variances, per entry):

        mean     = W_m m + b_m
        variance = (W_m^2 + W_s) s + W_s m^2 + b_s

    Args:
        inputs: size of the last dimension of the input.
        outputs: size of the last dimension of the output.
        variance: variance of every weight and bias at the start, relative to 1 / inputs.
    """

    def __init__(self, inputs: int, outputs: int, variance: float = 0.05) -> None:
        super().__init__()
        bound = math.sqrt(3 / inputs)  # uniform of variance 1 / inputs
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(outputs))
        start = math.log(math.expm1(variance / inputs))  # so that softplus gives variance / inputs
        self.raw_weight_variance = nn.Parameter(torch.full((outputs, inputs), start))
        self.raw_bias_variance = nn.Parameter(torch.full((outputs,), start))

    @property
    def weight_variance(self) -> Tensor:
        """Variances of the weights, `(outputs, inputs)`, positive."""
        return softplus(self.raw_weight_variance)

    @property
    def bias_variance(self) -> Tensor:
        """Variances of the biases, `(outputs,)`, positive."""
        return softplus(self.raw_bias_variance)

    def forward(self, mean: Tensor, variance: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Maps `(..., inputs)` to `(..., outputs)`, mean and variance; no variance means a known input."""
        weight_variance = self.weight_variance
        out = linear(mean.square(), weight_variance, self.bias_variance)
        if variance is not None:
            out = out + linear(variance, self.weight.square() + weight_variance)
        return linear(mean, self.weight, self.bias), out


class NPNReLU(nn.Module):
    """Mean and variance of max(0, x) for a normal x, exactly.

    With a = m / sqrt(s), and Phi and phi the standard normal distribution function and density:

        mean          = m Phi(a) + sqrt(s) phi(a)
        second moment = (m^2 + s) Phi(a) + m sqrt(s) phi(a) = m mean + s Phi(a)
    """

    def forward(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Maps mean and variance of shape `(...)` to the same shape."""
        deviation = (variance + _TINY).sqrt()
        a = mean / deviation
        below = 0.5 * torch.erfc(a * -math.sqrt(0.5))  # Phi(a), exact in the tail too
        density = torch.exp(-0.5 * a.square()) * (deviation / math.sqrt(2 * math.pi))
        out = mean * below + density
        return out, (out * (mean - out) + variance * below).clamp_min(_TINY)


class NPN(nn.Module):
    """A natural-parameter network f_S(x) = (mu, sigma) with ReLU hidden layers (paper section 3.4.2).

    Args:
        inputs: length of an input vector.
        hidden: widths of the hidden layers.
        variance: initial relative variance of the weights (see `NPNLinear`).
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (32, 32), variance: float = 0.05) -> None:
        super().__init__()
        sizes = [inputs, *hidden, 1]
        self.layers = nn.ModuleList(NPNLinear(a, b, variance) for a, b in pairwise(sizes))
        self.relu = NPNReLU()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and aleatoric standard deviation, each `(...)`, of inputs `(..., inputs)`."""
        first, *rest = self.layers
        mean, variance = first(x)
        for layer in rest:
            mean, variance = layer(*self.relu(mean, variance))
        return mean.squeeze(-1), variance.squeeze(-1).sqrt()


def npn_loss(prediction: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """The aleatoric loss of equation (2), as a mean over points: Gaussian negative log likelihood."""
    mean, sigma = prediction
    return ((mean - target).square() / (2 * sigma.square()) + sigma.log()).mean()
