import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.fft import dctn
from torch.autograd import gradcheck
from transformers import FNetConfig
from transformers.models.fnet.modeling_fnet import FNetBasicFourierTransform

from flexnas_bench.modeling.sentences import Sentences
from flexnas_bench.modeling.transforms import dct, dct_matrix, dft, dft_by_matrices

sizes = st.integers(1, 12)


def matrices(x, mask):
    return Sentences.of(mask, x, {"DFT", "DCT"})


def features(x):
    return dct_matrix(x.shape[-1], x.dtype, x.device)


@given(batch=st.integers(1, 3), n=sizes, h=sizes)
def test_dft_is_the_mixing_of_fnet_but_for_scale(batch, n, h):
    x = torch.randn(batch, n, h, dtype=torch.float64)
    (theirs,) = FNetBasicFourierTransform(FNetConfig(hidden_size=h))(x)
    torch.testing.assert_close(dft(x), theirs / (n * h) ** 0.5)


@given(batch=st.integers(1, 3), n=sizes, h=sizes)
def test_dct_is_that_of_scipy(batch, n, h):
    x = torch.randn(batch, n, h, dtype=torch.float64)
    expected = torch.from_numpy(dctn(x.numpy(), axes=(1, 2), norm="ortho"))
    torch.testing.assert_close(dct(x, dct_matrix(n, x.dtype, x.device), features(x)), expected)


@given(n=sizes)
def test_dct_keeps_lengths(n):
    matrix = dct_matrix(n, torch.float64, torch.device("cpu"))
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(n, dtype=torch.float64))


@given(n=sizes, h=sizes, first=st.integers(0, 4), after=st.integers(0, 4))
def test_padding_before_and_after_changes_no_transform(n, h, first, after):
    x = torch.randn(1, n, h, dtype=torch.float64)
    wide = torch.nn.functional.pad(x, (0, 0, first, after))
    mask = torch.zeros(2, first + n + after)
    mask[0, first : first + n] = 1
    mask[1] = 1  # another sentence, as long as the batch, so that there is padding at all
    both = torch.cat([wide, torch.randn_like(wide)])
    sentences = matrices(both, mask)
    if sentences.tokens is None:
        return
    alone = dct(x, dct_matrix(n, x.dtype, x.device), features(x))
    by_matrices, by_cosines = dft_by_matrices(both, *sentences.dft), dct(both, sentences.dct, features(x))
    torch.testing.assert_close(by_matrices[:1, first : first + n], dft(x))
    torch.testing.assert_close(by_cosines[:1, first : first + n], alone)
    torch.testing.assert_close(by_matrices[1:], dft(both[1:]))
    for found in (by_matrices, by_cosines):
        assert not found[0, :first].any()
        assert not found[0, first + n :].any()


def test_a_gap_inside_of_a_sentence_counts_as_zeros_of_it():
    x = torch.randn(1, 5, 4, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1, 0]])
    sentences = matrices(x, mask)
    cleared = sentences.cleared(x)
    torch.testing.assert_close(dft_by_matrices(cleared, *sentences.dft)[:, :4], dft(cleared[:, :4]))


def test_long_sentences_lose_no_digits():
    """In float32, with matrices for 512 tokens, against float64."""
    x = torch.randn(2, 512, 8, dtype=torch.float64)
    mask = torch.ones(2, 512)
    mask[1, 500:] = 0
    narrow = x.float()
    sentences = matrices(narrow, mask)
    found = dft_by_matrices(narrow, *sentences.dft)[0], dct(narrow, sentences.dct, features(narrow))[0]
    expected = dft(x)[0], dct(x, dct_matrix(512, x.dtype, x.device), features(x))[0]
    for mine, exact in zip(found, expected, strict=True):
        assert (mine.double() - exact).abs().max() < 2e-6 * exact.abs().max()


def test_derivatives_are_those_of_differences():
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    sentences = matrices(x, mask)
    assert gradcheck(dft, x)
    assert gradcheck(lambda x: dft_by_matrices(x, *sentences.dft), x)
    assert gradcheck(lambda x: dct(x, sentences.dct, features(x)), x)


def test_sentences_say_what_is_wrong_with_a_mask():
    x = torch.zeros(2, 3, 4)
    assert matrices(x, torch.ones(2, 3)).tokens is None
    with pytest.raises(ValueError, match=r"shape \(2, 4\), not \(2, 3\)"):
        matrices(x, torch.ones(2, 4))


def test_a_sentence_without_tokens_gives_numbers():
    x = torch.randn(2, 3, 4)
    sentences = matrices(x, torch.tensor([[0, 0, 0], [1, 1, 1]]))
    assert not dft_by_matrices(x, *sentences.dft)[0].any()
    assert dct(x, sentences.dct, features(x)).isfinite().all()
