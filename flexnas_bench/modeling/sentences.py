"""What all layers must know of the sentences of a batch: where their tokens are, and the matrices that depend on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from flexnas_bench.modeling.transforms import Group, dct_matrices, dft_matrices


@dataclass(frozen=True)
class Sentences:
    """A batch, seen from its attention mask.

    Attributes:
        tokens: 1 at tokens and 0 at padding, `batch x n x 1`; None where there is no padding.
        scores: what is added to attention scores, 0 at tokens and the lowest number at padding, `batch x 1 x 1 x n`;
            None likewise.
        dft: cosines and sines for tokens, `batch x n x n` each; None where there is no need.
        dct: matrix for tokens, `batch x n x n`; None where there is no need.
        groups: sentences of the same length, where they are transformed together.
    """

    tokens: Tensor | None = None
    scores: Tensor | None = None
    dft: tuple[Tensor, Tensor] | None = None
    dct: Tensor | None = None
    groups: tuple[Group, ...] = ()

    @classmethod
    def of(cls, mask: Tensor | None, x: Tensor, transforms: Collection[str | int]) -> Sentences:
        """The sentences of an attention mask.

        Args:
            mask: not 0 at tokens, 0 at padding, `batch x n`; None for no padding. What is masked between the first and
                the last token of a sentence counts as zeros of it.
            x: embeddings, `batch x n x h`.
            transforms: which of `DFT` and `DCT` will be needed.

        Raises:
            ValueError: for a mask of another shape.
        """
        n, dtype = x.shape[1], x.dtype
        if mask is not None and mask.shape != x.shape[:2]:
            raise ValueError(f"the attention mask has shape {tuple(mask.shape)}, not {tuple(x.shape[:2])}")
        if mask is None or (not torch.compiler.is_compiling() and bool(mask.all())):
            return cls()
        mask = mask != 0
        position = torch.arange(n, device=x.device)
        first = torch.where(mask, position, n).amin(1)
        length = (torch.where(mask, position + 1, 0).amax(1) - first).clamp(min=0)
        tokens = mask[:, :, None].to(dtype)
        scores = torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)[:, None, None, :]
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            return cls(tokens, scores, groups=_groups(first, length) if transforms else ())
        return cls(
            tokens,
            scores,
            dft_matrices(length, first, n, dtype) if "DFT" in transforms else None,
            dct_matrices(length, first, n, dtype) if "DCT" in transforms else None,
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Sentences:
        """The same on another device, for models that are spread over several."""

        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device, non_blocking=non_blocking)

        dft = None if self.dft is None else (self.dft[0].to(device), self.dft[1].to(device))
        groups = tuple(Group(group.rows.to(device), group.tokens) for group in self.groups)
        return Sentences(move(self.tokens), move(self.scores), dft, move(self.dct), groups)

    def cleared(self, x: Tensor) -> Tensor:
        """Values `batch x n x h` with zeros at padding."""
        return x if self.tokens is None else x * self.tokens


def _groups(first: Tensor, length: Tensor) -> tuple[Group, ...]:
    """Sentences that begin at the same position and are as long, those without tokens left out."""
    kinds, of = torch.unique(torch.stack([first, length], 1), dim=0, return_inverse=True)
    return tuple(
        Group((of == i).nonzero()[:, 0], slice(begin, begin + count))
        for i, (begin, count) in enumerate(kinds.tolist())
        if count
    )
