import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from flexnas_bench.training import vocabulary_loss as module
from flexnas_bench.training.vocabulary_loss import vocabulary_loss


def inputs(n, hidden, words, dtype=torch.float64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    tensors = [torch.randn(shape, generator=rng, dtype=dtype) for shape in ((n, hidden), (words, hidden), (words,))]
    labels = torch.randint(0, words, (n,), generator=rng)
    return *(tensor.requires_grad_() for tensor in tensors), labels


@given(n=st.integers(0, 9), hidden=st.integers(1, 5), words=st.integers(1, 30), chunk=st.integers(1, 100))
def test_it_is_cross_entropy(n, hidden, words, chunk):
    states, weight, bias, labels = inputs(n, hidden, words)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(module.CHUNK, "cpu", chunk)  # from one row at a time to all at once
        found = vocabulary_loss(states, weight, bias, labels)
        gradients = torch.autograd.grad(found / 7, (states, weight, bias))
    expected = cross_entropy(states @ weight.T + bias, labels, reduction="sum")
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected / 7, (states, weight, bias)))


def test_derivatives_are_those_of_finite_differences(monkeypatch):
    monkeypatch.setitem(module.CHUNK, "cpu", 14)
    states, weight, bias, labels = inputs(5, 3, 7)
    assert torch.autograd.gradcheck(lambda *some: vocabulary_loss(*some, labels), (states, weight, bias))


def test_large_logits_do_not_overflow():
    states, weight, bias, labels = inputs(4, 3, 6, torch.float32)
    found = vocabulary_loss(states * 1e4, weight, bias, labels)
    torch.testing.assert_close(found, cross_entropy(states * 1e4 @ weight.T + bias, labels, reduction="sum"))


def test_under_autocast_only_products_are_short():
    states, weight, bias, labels = inputs(64, 32, 500, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = vocabulary_loss(states, weight, bias, labels)
    expected = cross_entropy(states @ weight.T + bias, labels, reduction="sum")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
    found.backward()
    gradient = weight.grad.clone()
    weight.grad = None
    expected.backward()
    torch.testing.assert_close(gradient, weight.grad, rtol=0.1, atol=0.05)
