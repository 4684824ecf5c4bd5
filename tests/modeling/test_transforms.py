import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn
from torch.autograd import gradcheck
from transformers import FNetConfig
from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform

from flexnas_bench.modeling.sentences import Sentences
from flexnas_bench.modeling.transforms import (
    by_groups,
    dct,
    dct_by_matrices,
    dct_matrices,
    dct_matrix,
    dft,
    dft_by_matrices,
    dft_matrices,
)

sizes = st.integers(1, 12)


def span(mask):
    """Beginnings and lengths of the sentences of a mask."""
    positions = [row.nonzero()[:, 0].tolist() or [0, -1] for row in mask]
    return torch.tensor([p[0] for p in positions]), torch.tensor([p[-1] - p[0] + 1 for p in positions])


def both_ways(x, mask):
    """DFT and DCT of the sentences of a mask, by matrices and by groups."""
    first, length = span(mask)
    n, groups = x.shape[1], Sentences.of(mask, x, {"DFT"}).groups
    by_matrices = (
        dft_by_matrices(x, *dft_matrices(length, first, n, x.dtype)),
        dct_by_matrices(x, dct_matrices(length, first, n, x.dtype)),
    )
    return (
        [by_matrices, tuple(by_groups(x, groups, transform) for transform in (dft, dct))] if groups else [by_matrices]
    )


@given(batch=st.integers(1, 3), n=sizes, h=sizes)
def test_dft_is_the_mixing_of_fnet_but_for_scale(batch, n, h):
    x = torch.randn(batch, n, h, dtype=torch.float64)
    (theirs,) = FNetBasicFourierTransform(FNetConfig(hidden_size=h))(x)
    torch.testing.assert_close(dft(x), theirs / (n * h) ** 0.5)


@given(batch=st.integers(1, 3), n=sizes, h=sizes)
def test_dct_is_that_of_scipy(batch, n, h):
    x = torch.randn(batch, n, h, dtype=torch.float64)
    expected = torch.from_numpy(dctn(x.numpy(), axes=(1, 2), norm="ortho"))
    torch.testing.assert_close(dct(x), expected)


@given(n=sizes)
def test_dct_keeps_lengths(n):
    matrix = dct_matrix(n, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(n, dtype=torch.float64))


@given(n=sizes, h=sizes, first=st.integers(0, 4), after=st.integers(0, 4))
def test_padding_before_and_after_changes_no_transform(n, h, first, after):
    x = torch.randn(1, n, h, dtype=torch.float64)
    wide = torch.nn.functional.pad(x, (0, 0, first, after))
    mask = torch.zeros(3, first + n + after)
    mask[0, first : first + n] = 1
    mask[1:] = 1  # others, as long as the batch
    both = torch.cat([wide, torch.randn_like(wide), torch.randn_like(wide)])
    for found in both_ways(both, mask):
        for transformed, transform in zip(found, (dft, dct), strict=True):
            torch.testing.assert_close(transformed[:1, first : first + n], transform(x))
            torch.testing.assert_close(transformed[1:], transform(both[1:]))
            assert not transformed[0, :first].any()
            assert not transformed[0, first + n :].any()


def test_a_gap_inside_of_a_sentence_counts_as_zeros_of_it():
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1, 0]])
    cleared = Sentences.of(mask, x, {"DFT"}).cleared(x)
    assert not cleared[0, 2].any()
    for found, _ in both_ways(cleared, mask):
        torch.testing.assert_close(found[:, :4], dft(cleared[:, :4]))


def test_long_sentences_lose_no_digits():
    """In float32, with matrices for 512 tokens, against float64."""
    x = torch.randn(2, 512, 8, dtype=torch.float64)
    mask = torch.ones(2, 512)
    mask[1, 500:] = 0
    for found in both_ways(x.float(), mask):
        for mine, exact in zip(found, (dft(x), dct(x)), strict=True):
            assert (mine[0].double() - exact[0]).abs().max() < 2e-6 * exact[0].abs().max()


def test_derivatives_are_those_of_differences():
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    assert gradcheck(dft, x)
    assert gradcheck(dct, x)
    for way in range(2):
        for kind in range(2):
            assert gradcheck(lambda x, way=way, kind=kind: both_ways(x, mask)[way][kind], x)


def test_sentences_of_one_length_are_one_group():
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    groups = Sentences.of(mask, torch.zeros(5, 4, 2), {"DCT"}).groups
    assert [(group.rows.tolist(), group.tokens) for group in groups] == [
        ([0, 2], slice(0, 2)),
        ([4], slice(0, 4)),
        ([1], slice(1, 3)),
    ]


def test_sentences_say_what_is_wrong_with_a_mask():
    x = torch.zeros(2, 3, 4)
    assert Sentences.of(torch.ones(2, 3), x, {"DFT"}).tokens is None
    with pytest.raises(ValueError, match=r"shape \(2, 4\), not \(2, 3\)"):
        Sentences.of(torch.ones(2, 4), x, {"DFT"})


def test_a_sentence_without_tokens_gives_numbers():
    x = torch.randn(2, 3, 4)
    for found in both_ways(x, torch.tensor([[0, 0, 0], [1, 1, 1]])):
        for transformed in found:
            assert not transformed[0].any()
            assert transformed.isfinite().all()


def test_what_was_made_for_a_look_serves_training():
    with torch.inference_mode():
        dct(torch.randn(1, 7, 13))
    x = torch.randn(1, 7, 13, requires_grad=True)
    dct(x).sum().backward()
    assert x.grad.isfinite().all()
