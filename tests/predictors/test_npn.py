"""The layers' closed forms against Monte-Carlo sampling and torch's own modules."""

import math

import pytest
import torch

from flexnas_bench.predictors.npn import NPN, NPNLinear, NPNReLU, npn_loss
from flexnas_bench.predictors.seeding import reproducible

SAMPLES = 400_000


def assert_moments(mean, variance, samples):
    """Mean and variance within five standard errors of those of the samples (first axis)."""
    n = len(samples)
    error = samples.std(dim=0) / math.sqrt(n)
    centred = (samples - samples.mean(dim=0)).square()
    error_of_variance = centred.std(dim=0) / math.sqrt(n)
    assert ((samples.mean(dim=0) - mean).abs() < 5 * error + 1e-6).all()
    assert ((samples.var(dim=0) - variance).abs() < 5 * error_of_variance + 1e-6).all()


@pytest.mark.parametrize("known_input", [True, False])
def test_linear_layer_agrees_with_sampling(known_input):
    with reproducible(1):
        layer = NPNLinear(3, 2, variance=1.5).double()
        torch.nn.init.normal_(layer.raw_bias_variance)
        torch.nn.init.normal_(layer.raw_weight_variance)
        torch.nn.init.normal_(layer.bias)
        mean = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
        variance = None if known_input else torch.tensor([0.3, 1.0, 0.0], dtype=torch.float64)
        out = layer(mean, variance)
        deviation = torch.zeros(3) if variance is None else variance.sqrt()
        x = mean + deviation * torch.randn(SAMPLES, 3, dtype=torch.float64)
        w = layer.weight + layer.weight_variance.sqrt() * torch.randn(SAMPLES, 2, 3, dtype=torch.float64)
        b = layer.bias + layer.bias_variance.sqrt() * torch.randn(SAMPLES, 2, dtype=torch.float64)
        assert_moments(*out, torch.einsum("soi,si->so", w, x) + b)


def test_relu_agrees_with_sampling():
    mean = torch.tensor([-3.0, -1.0, 0.0, 0.2, 2.0, 5.0], dtype=torch.float64)
    variance = torch.tensor([1.0, 4.0, 1.0, 0.01, 0.5, 9.0], dtype=torch.float64)
    with reproducible(2):
        samples = (mean + variance.sqrt() * torch.randn(SAMPLES, 6, dtype=torch.float64)).clamp_min(0)
    assert_moments(*NPNReLU()(mean, variance), samples)


def test_relu_of_a_sure_thing_is_relu():
    mean = torch.tensor([-2.0, -1e-3, 0.5, 3.0], dtype=torch.float64)
    out, variance = NPNReLU()(mean, torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(out, mean.relu(), atol=1e-6, rtol=0)
    torch.testing.assert_close(variance, torch.zeros_like(variance), atol=1e-6, rtol=0)


def test_relu_far_below_zero_has_finite_gradients():
    mean = torch.tensor([-50.0, -8.0, 0.0], requires_grad=True)
    out, variance = NPNReLU()(mean, torch.tensor([1.0, 1.0, 0.0]))
    (out + variance).sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert (variance > 0).all()


def test_a_network_without_variance_is_a_plain_network():
    with reproducible(3):
        npn = NPN(4, hidden=(8, 8), variance=1e-12).double()
        x = torch.randn(16, 4, dtype=torch.float64)
    plain = x
    for layer in npn.layers[:-1]:
        plain = torch.nn.functional.linear(plain, layer.weight, layer.bias).relu()
    plain = torch.nn.functional.linear(plain, npn.layers[-1].weight, npn.layers[-1].bias)
    mean, sigma = npn(x)
    torch.testing.assert_close(mean, plain.squeeze(-1), atol=1e-4, rtol=0)
    assert (sigma < 1e-3).all()


def test_derivatives_of_the_whole_network_are_exact():
    with reproducible(4):
        npn = NPN(3, hidden=(4, 4)).double()
        x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(npn, (x,))
    assert torch.autograd.gradgradcheck(npn, (x,))


def test_the_loss_is_the_gaussian_negative_log_likelihood():
    with reproducible(5):
        mean, target = torch.randn(7), torch.randn(7)
        sigma = torch.rand(7) + 0.1
    expected = torch.nn.functional.gaussian_nll_loss(mean, target, sigma.square())
    torch.testing.assert_close(npn_loss((mean, sigma), target), expected)


def test_it_learns_noise_that_depends_on_the_input():
    with reproducible(6):
        x = torch.rand(500, 1) * 2 - 1
        truth = 0.05 + 0.5 * (x.squeeze(-1) > 0)
        y = 2 * x.squeeze(-1) + truth * torch.randn(500)
        npn = NPN(1)
        adam = torch.optim.Adam(npn.parameters(), 0.02)
        for _ in range(300):
            adam.zero_grad()
            npn_loss(npn(x), y).backward()
            adam.step()
        mean, sigma = npn(torch.tensor([[-0.5], [0.5]]))
    torch.testing.assert_close(mean.detach(), torch.tensor([-1.0, 1.0]), atol=0.15, rtol=0)
    torch.testing.assert_close(sigma.detach(), torch.tensor([0.05, 0.55]), atol=0.1, rtol=0)
