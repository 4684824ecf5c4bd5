"""Attention by trained relative positions (Shaw et al. 2018), and by keys and convolution kernels beside them.

With queries q, distances R and values v (paper section 3.1.2, the first without keys and kernels),

    z = (dropout(softmax(q k^T + q R^T + mask)) + band) v,

where the band holds the kernels of a span convolution, those of row i around column i: so one product of the
length-by-length matrix with the values serves both.

`attend` has this in plain operations. `attend_in_blocks` is the same for a CPU: block by block of a size that stays in
the cache, with only the distances that occur in a block, and derivatives written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from flexnas_bench.modeling.dropout import dropout_factors

#: Rows of a block, and entries of all its rows: half a megabyte of float32.
ROWS, ENTRIES = 64, 2**17


def attend(
    query: Tensor,
    key: Tensor | None,
    value: Tensor,
    distances: Tensor,
    mask: Tensor | None = None,
    kernels: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attention by relative positions.

    Args:
        query: `batch x heads x n x d`, already divided by the square root of d.
        key: of the same shape, or None for attention by positions alone.
        value: of the same shape.
        distances: `(2 P - 1) x d`; row `P - 1 + t` belongs to keys that stand t positions after the query, and n <= P.
        mask: what is added to the scores of keys, `batch x 1 x 1 x n`: 0, or the lowest number there is.
        kernels: `batch x heads x n x k` with k odd: weights of the values around each position.
        dropout: probability of dropping an attention probability.

    Returns:
        `batch x heads x n x d`.
    """
    scores = relative_scores(query, distances)
    if mask is not None:
        scores = scores + mask
    if key is not None and kernels is None:
        return functional.scaled_dot_product_attention(query, key, value, scores.contiguous(), dropout, scale=1.0)
    if key is not None:
        scores = scores + query @ key.mT
    weights = functional.dropout(scores.softmax(-1), dropout)
    return (weights if kernels is None else weights + band(kernels)) @ value


def attend_in_blocks(
    query: Tensor,
    key: Tensor | None,
    value: Tensor,
    distances: Tensor,
    mask: Tensor | None = None,
    kernels: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """The same as `attend`, faster on a CPU; can be differentiated once."""
    batch, heads, n, _ = query.shape
    flat = [None if x is None else x.flatten(0, 1) for x in (query, key, value, kernels)]
    rows = None if mask is None else mask.expand(batch, heads, 1, n).flatten(0, 1)
    return _Blocks.apply(*flat, distances, rows, dropout).view(query.shape)


def relative_scores(query: Tensor, distances: Tensor, first: int = 0, keys: int | None = None) -> Tensor:
    """Products of queries with the vectors of the distances to all keys.

    Args:
        query: `... x c x d`, of neighbouring positions.
        distances: as in `attend`.
        first: position of the first query.
        keys: number of keys; as many as queries, if not given.

    Returns:
        `... x c x keys`, entry `[..., i, j]` being `query[..., i, :] @ distances[P - 1 + j - first - i]`: a view of
        products with all distances that occur, of which each row begins one earlier.
    """
    c = query.shape[-2]
    keys = keys or c
    return _skewed(query @ _near(distances, first, c, keys).T, keys)


def band(kernels: Tensor, first: int = 0, keys: int | None = None) -> Tensor:
    """Kernels `... x c x k` as `... x c x keys`, that of query i around column `first + i`, cut at the edges."""
    c = kernels.shape[-2]
    keys = keys or c
    return _skewed(functional.pad(kernels, _margins(kernels, first, keys)), keys)


def _near(distances: Tensor, first: int, c: int, keys: int) -> Tensor:
    """The rows of `distances` that occur from c queries to all keys."""
    center = len(distances) // 2
    return distances[center - first - c + 1 : center - first + keys]


def _skewed(rows: Tensor, keys: int) -> Tensor:
    """The view `[..., i, j] -> rows[..., i, c - 1 - i + j]` of `... x c x (c - 1 + keys)`."""
    c, width = rows.shape[-2:]
    if c == 1:
        return rows
    return rows.flatten(-2)[..., c - 1 : c - 1 + c * (width - 1)].unflatten(-1, (c, width - 1))[..., :keys]


def _unskewed(view: Tensor) -> Tensor:
    """The adjoint of `_skewed`: zeros but for the entries of the view."""
    c, keys = view.shape[-2:]
    rows = view.new_zeros(*view.shape[:-1], c - 1 + keys)
    _skewed(rows, keys).copy_(view)
    return rows


def _margins(kernels: Tensor, first: int, keys: int) -> tuple[int, int]:
    """What must be added to kernels left and right, or cut off, before they are skewed."""
    c, k = kernels.shape[-2:]
    left = c - 1 + first - k // 2
    return left, c - 1 + keys - k - left


def _blocks(heads: int, n: int) -> Iterator[tuple[slice, slice]]:
    """Slices of heads (of all sentences) and of queries."""
    rows = min(n, ROWS)
    group = max(1, ENTRIES // (rows * n))
    for head in range(0, heads, group):
        for row in range(0, n, rows):
            yield slice(head, min(head + group, heads)), slice(row, min(row + rows, n))


class _Blocks(torch.autograd.Function):
    """`attend_in_blocks`, heads of all sentences in one dimension."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor | None,
        value: Tensor,
        kernels: Tensor | None,
        distances: Tensor,
        mask: Tensor | None,
        dropout: float,
    ) -> Tensor:
        heads, n, _ = query.shape
        attended = torch.empty_like(value)
        kept: list[Tensor] = []
        for here, rows in _blocks(heads, n):
            q = query[here, rows]
            scores = relative_scores(q, distances, rows.start, n)
            if key is not None:
                scores = torch.baddbmm(scores, q, key[here].mT)
            if mask is not None:
                scores = scores + mask[here]
            probabilities = dropped = scores.softmax(-1)
            if dropout:
                dropped = probabilities * dropout_factors(probabilities.shape, dropout, probabilities)
            if any(ctx.needs_input_grad):
                kept += [probabilities, dropped]
            attended[here, rows] = _weights(dropped, kernels, here, rows) @ value[here]
        ctx.save_for_backward(query, key, value, kernels, distances, *kept)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, kernels, distances, *kept = ctx.saved_tensors
        heads, n, _ = query.shape
        d_query, d_value, d_distances = torch.empty_like(query), torch.zeros_like(value), torch.zeros_like(distances)
        d_key = None if key is None else torch.zeros_like(key)
        d_kernels = None if kernels is None else torch.empty_like(kernels)
        for (here, rows), probabilities, dropped in zip(_blocks(heads, n), kept[::2], kept[1::2], strict=True):
            q, d = query[here, rows], gradient[here, rows]
            d_value[here].baddbmm_(_weights(dropped, kernels, here, rows).mT, d)
            d_weights = d @ value[here].mT
            if d_kernels is not None:
                d_kernels[here, rows] = _of_kernels(d_weights, kernels, rows)
            d_scores = d_weights.mul_(dropped)  # of dropout after softmax
            d_scores.addcmul_(probabilities, d_scores.sum(-1, keepdim=True), value=-1)
            d_products = _unskewed(d_scores)
            near = _near(distances, rows.start, q.shape[1], n)
            d_q = d_products @ near
            _near(d_distances, rows.start, q.shape[1], n).addmm_(d_products.flatten(0, 1).T, q.flatten(0, 1))
            if d_key is not None:
                d_q.baddbmm_(d_scores, key[here])
                d_key[here].baddbmm_(d_scores.mT, q)
            d_query[here, rows] = d_q
        return d_query, d_key, d_value, d_kernels, d_distances, None, None


def _weights(dropped: Tensor, kernels: Tensor | None, here: slice, rows: slice) -> Tensor:
    """Weights of the values: attention probabilities after dropout, with kernels."""
    if kernels is None:
        return dropped
    weights, columns = dropped.clone(), _columns(kernels, rows)
    inside = weights[..., columns]
    inside += band(kernels[here, rows], rows.start - columns.start, inside.shape[-1])
    return weights


def _of_kernels(d_weights: Tensor, kernels: Tensor, rows: slice) -> Tensor:
    """The derivative by the kernels of some queries."""
    columns = _columns(kernels, rows)
    inside = d_weights[..., columns]
    left, right = _margins(kernels[:1, rows], rows.start - columns.start, inside.shape[-1])
    return functional.pad(_unskewed(inside), (-left, -right))


def _columns(kernels: Tensor, rows: slice) -> slice:
    """Columns that kernels of these rows reach."""
    reach = kernels.shape[-1] // 2
    return slice(max(rows.start - reach, 0), min(rows.stop + reach, kernels.shape[1]))
