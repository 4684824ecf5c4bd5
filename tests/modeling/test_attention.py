import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from flexnas_bench.modeling import attention
from flexnas_bench.modeling.attention import attend, attend_in_blocks, band, relative_scores
from flexnas_bench.modeling.dropout import Dropout, dropout_factors
from tests.modeling.conftest import plain_attention, plain_convolution

BOTH = pytest.mark.parametrize("attention_of", [attend, attend_in_blocks])
shapes = st.tuples(*(st.integers(1, most) for most in (2, 3, 9, 4)))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks in each test, some of them cut short."""
    monkeypatch.setattr(attention, "ROWS", 4)
    monkeypatch.setattr(attention, "ENTRIES", 60)


def inputs(shape, keyed, k=None, seed=0, positions=16):
    """Query, key or none, value, distances, kernels or none, all to be differentiated."""
    generator = torch.Generator().manual_seed(seed)
    batch, heads, n, d = shape

    def draw(*size):
        return torch.randn(size, generator=generator, dtype=torch.float64, requires_grad=True)

    sizes = [
        shape,
        shape if keyed else None,
        shape,
        (2 * positions - 1, d),
        None if k is None else (batch, heads, n, k),
    ]
    return [None if size is None else draw(*size) for size in sizes]


def masks(shape, lengths):
    batch, _, n, _ = shape
    keep = torch.arange(n) < torch.tensor([1 + length % n for length in lengths[:batch]])[:, None]
    lowest = torch.finfo(torch.float64).min
    return keep, torch.zeros_like(keep, dtype=torch.float64).masked_fill(~keep, lowest)[:, None, None, :]


@BOTH
@given(
    shape=shapes,
    keyed=st.booleans(),
    k=st.sampled_from([None, 1, 5, 9]),
    lengths=st.tuples(st.integers(0), st.integers(0)),
)
def test_it_is_the_formula(attention_of, shape, keyed, k, lengths):
    query, key, value, distances, kernels = inputs(shape, keyed, k)
    keep, mask = masks(shape, lengths)
    expected = plain_attention(query, key, value, distances, keep)
    if kernels is not None:
        expected = expected + plain_convolution(kernels, value)
    found = attention_of(query / shape[-1] ** 0.5, key, value, distances, mask, kernels)
    torch.testing.assert_close(found, expected)


@given(
    shape=shapes,
    keyed=st.booleans(),
    k=st.sampled_from([None, 1, 5, 9]),
    lengths=st.tuples(st.integers(0), st.integers(0)),
)
def test_blocks_have_the_derivatives_of_the_whole(shape, keyed, k, lengths):
    given_ = inputs(shape, keyed, k)
    query, key, value, distances, kernels = given_
    _, mask = masks(shape, lengths)
    wanted = [x for x in given_ if x is not None]
    weights = torch.randn(shape, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(one(query, key, value, distances, mask, kernels), wanted, weights)
        for one in (attend_in_blocks, attend)
    )
    torch.testing.assert_close(found, expected)


@BOTH
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("keyed", "k"), [(True, None), (False, None), (False, 5)])
def test_derivatives_are_those_of_differences(attention_of, dropout, keyed, k):
    given_ = inputs((1, 2, 6, 2), keyed, k, positions=7)

    def function(*values):
        torch.manual_seed(0)  # the same is dropped at every call
        left = iter(values)
        query, key, value, distances, kernels = (None if x is None else next(left) for x in given_)
        return attention_of(query, key, value, distances, None, kernels, dropout)

    assert gradcheck(function, [x for x in given_ if x is not None])


def test_plain_operations_can_be_differentiated_twice():
    query, key, value, distances, _ = inputs((1, 2, 3, 2), keyed=True)
    assert gradgradcheck(lambda *values: attend(*values), (query, key, value, distances))


@pytest.mark.parametrize("first", [0, 3])
def test_relative_scores_of_some_queries_are_rows_of_those_of_all(first):
    query, _, _, distances, _ = inputs((1, 1, 7, 3), keyed=False)
    some = relative_scores(query[..., first : first + 2, :], distances, first, keys=7)
    torch.testing.assert_close(some, relative_scores(query, distances)[..., first : first + 2, :])


def test_a_band_is_cut_at_the_edges():
    kernels = torch.arange(1.0, 10.0).view(3, 3)
    assert band(kernels).tolist() == [[2, 3, 0], [4, 5, 6], [0, 7, 8]]
    assert band(torch.ones(2, 9)).tolist() == [[1, 1], [1, 1]]


@BOTH
def test_dropped_probabilities_are_made_up_for(attention_of):
    query, key, _, distances, _ = inputs((64, 4, 16, 2), keyed=True)
    value = torch.ones_like(query)
    torch.manual_seed(0)
    found = attention_of(query, key, value, distances, dropout=0.4)
    assert found.mean().item() == pytest.approx(1, abs=0.02)
    assert found.std() > 0.1
    torch.testing.assert_close(attention_of(query, key, value, distances, dropout=0.0), value)


@given(p=st.floats(0, 1))
def test_as_much_is_dropped_as_was_asked_for(p):
    count = 40_001  # not a multiple of four
    factors = dropout_factors(torch.Size([count]), p, torch.empty(0, dtype=torch.float64))
    share = (factors == 0).double().mean().item()
    assert abs(share - p) < 5 * (p * (1 - p) / count) ** 0.5 + 1 / 2**16
    if share < 1:
        (factor,) = factors[factors != 0].unique()
        assert factor == pytest.approx(1 / (1 - p), rel=0.6 / 2**16 / max(1 - p, 1e-9))


def test_dropout_is_that_of_torch_but_for_what_it_draws():
    x = torch.randn(200, 300, requires_grad=True)
    mine, theirs = Dropout(0.25), torch.nn.Dropout(0.25)
    for module in (mine, theirs):
        y = module(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert slope.unique().tolist() == pytest.approx([0, 1 / 0.75])
        assert slope.mean().item() == pytest.approx(1, abs=0.01)
        torch.testing.assert_close(y, x * slope)
        assert module.eval()(x) is x or torch.equal(module(x), x)
    assert Dropout(0.0).train()(x) is x or torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(1.0)(x), torch.zeros_like(x))


def test_a_seed_settles_what_is_dropped():
    def draw(seed):
        torch.manual_seed(seed)
        return dropout_factors(torch.Size([100]), 0.5, torch.empty(0))

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_nothing_is_kept_after_the_derivatives():
    """What is saved is saved where autograd lets go of it, and hooks can see it."""
    query, key, value, distances, _ = inputs((2, 2, 6, 3), keyed=True)
    seen = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: seen.append(x.shape) or x, lambda x: x):
        found = attend_in_blocks(query, key, value, distances, dropout=0.5)
    assert sum(shape[-1] == 6 and len(shape) == 3 for shape in seen) >= 4
    found.sum().backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        found.sum().backward()


def test_derivatives_can_be_taken_twice_where_the_graph_is_kept():
    query, key, value, distances, kernels = inputs((1, 2, 6, 3), keyed=False, k=5)
    found = attend_in_blocks(query, key, value, distances, None, kernels, 0.3).square().sum()
    first, second = (torch.autograd.grad(found, [query, kernels], retain_graph=True) for _ in range(2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
