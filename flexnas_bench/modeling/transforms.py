"""Orthonormal transforms of sentences over tokens and features: DFT as in FNet (Lee-Thorp et al. 2021), and DCT.

A sentence is transformed over its own length, from its first token to its last, whatever padding stands around it.
Where lengths differ, a CPU transforms those of one length together; elsewhere each sentence has a matrix for its
tokens, zero outside of it, so that all go in one product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor


class Group(NamedTuple):
    """Sentences of a batch that begin and end at the same positions.

    Attributes:
        rows: which, as indices.
        tokens: their positions.
    """

    rows: Tensor
    tokens: slice


def dft(x: Tensor) -> Tensor:
    """The real part of the orthonormal DFT of `batch x n x h` over the last two dimensions."""
    return torch.fft.fft2(_wide(x), norm="ortho").real.to(x.dtype)


def dft_by_matrices(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The same for sentences of unequal lengths, with what `dft_matrices` has for them."""
    spectrum = torch.fft.fft(_wide(x), norm="ortho")
    return cosines @ spectrum.real.to(x.dtype) + sines @ spectrum.imag.to(x.dtype)


def dct(x: Tensor) -> Tensor:
    """The orthonormal DCT-II of `batch x n x h` over the last two dimensions."""
    return dct_by_matrices(x, dct_matrix(x.shape[-2], x.dtype, x.device))


def dct_by_matrices(x: Tensor, tokens: Tensor) -> Tensor:
    """The same for sentences of unequal lengths, with what `dct_matrices` has for them."""
    return tokens @ (x @ dct_matrix(x.shape[-1], x.dtype, x.device).T)


def by_groups(x: Tensor, groups: Sequence[Group], transform: Callable[[Tensor], Tensor]) -> Tensor:
    """A transform of sentences of unequal lengths, those together that have the same; zero elsewhere."""
    found = torch.zeros_like(x)
    for group in groups:
        found[group.rows, group.tokens] = transform(x[group.rows, group.tokens]).to(x.dtype)
    return found


def dft_matrices(length: Tensor, first: Tensor, n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines, `batch x n x n` each, of the orthonormal DFT of sentences.

    Args:
        length: number of tokens from the first to the last, `batch`.
        first: position of the first token, `batch`.
        n: length of the batch.
        dtype: of the matrices.
    """
    position, inside, length = _positions(length, first, n)
    turns = (position[:, :, None] * position[:, None, :]) % length[:, :, None]  # whole numbers: no digit is lost
    angle = turns * (2 * pi / length[:, :, None].double())
    scale = inside[:, :, None] * inside[:, None, :] / length[:, :, None].double().sqrt()
    return (angle.cos() * scale).to(dtype), (angle.sin() * scale).to(dtype)


def dct_matrices(length: Tensor, first: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """The matrix, `batch x n x n`, a row a frequency, of the orthonormal DCT-II of sentences; arguments as above."""
    position, inside, length = _positions(length, first, n)
    turns = ((2 * position[:, None, :] + 1) * position[:, :, None]) % (4 * length[:, :, None])
    angle = turns * (pi / (2 * length[:, :, None].double()))
    scale = inside[:, :, None] * inside[:, None, :] * (2 / length[:, :, None].double()).sqrt()
    constant = torch.where(position == 0, 0.5**0.5, 1.0)
    return (angle.cos() * scale * constant[:, :, None]).to(dtype)


def dct_matrix(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The matrix, `n x n`, of the orthonormal DCT-II of n points; remembered, except by compilers."""
    return (_make if torch.compiler.is_compiling() else _remember)(n, dtype, device)


def _make(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():  # what is remembered is for training too
        length = torch.tensor([n], device=device)
        return dct_matrices(length, torch.zeros_like(length), n, dtype)[0]


_remember = lru_cache(maxsize=64)(_make)


def _positions(length: Tensor, first: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Positions counted from each sentence's beginning, whether they are inside of it, and lengths of one or more."""
    position = torch.arange(n, device=length.device) - first[:, None]
    inside = (position >= 0) & (position < length[:, None])
    return position, inside, length.clamp(min=1)[:, None]


def _wide(x: Tensor) -> Tensor:
    """FFTs are for float32 and float64 alone."""
    return x if x.dtype == torch.float64 else x.float()
