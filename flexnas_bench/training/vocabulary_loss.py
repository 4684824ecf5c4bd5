"""Cross-entropy over the whole vocabulary, a few tokens at a time.

The logits of a batch are its largest array by far, and softmax, loss and derivative each go through it. Here some rows
are made, used and forgotten while they are near, and their derivatives are kept instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Logits at once.
CHUNK = {"cpu": 2**24, "cuda": 2**28}


def vocabulary_loss(
    states: Tensor, weight: Tensor, bias: Tensor, labels: Tensor, extra: Tensor | None = None
) -> Tensor:
    """Sum of the cross-entropies, in nats, of `softmax(states weight^T + bias)`.

    Under autocast products are of its type; sums are of float32 at least.

    Args:
        states: `n x h`.
        weight: `vocabulary x h`.
        bias: `vocabulary`.
        labels: `n`, of the vocabulary.
        extra: `n`, what to add to the logits of the labels.
    """
    kind = states.device.type
    product = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype
    loss: Tensor = _VocabularyLoss.apply(states, weight, bias, labels, extra, product)
    return loss


class _VocabularyLoss(torch.autograd.Function):
    """The derivatives are found with the loss, as long as the logits are there."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor,
        labels: Tensor,
        extra: Tensor | None,
        product: torch.dtype,
    ) -> Tensor:
        exact = torch.promote_types(product, torch.float32)
        rows = max(CHUNK.get(states.device.type, 2**24) // len(bias), 1)
        some, words = states.to(product), weight.to(product)
        d_states, d_weight, d_bias = torch.empty_like(states), torch.zeros_like(weight), torch.zeros_like(bias)
        loss = torch.zeros((), dtype=exact, device=states.device)
        with torch.autocast(states.device.type, enabled=False):
            for i in range(0, len(states), rows):
                part, told = some[i : i + rows], labels[i : i + rows, None]
                logits = torch.addmm(bias.to(product), part, words.T).to(exact)
                if extra is not None:
                    logits.scatter_add_(1, told, extra[i : i + rows, None].to(logits))
                logits -= logits.amax(1, keepdim=True)
                at_labels = logits.gather(1, told).sum()
                total = logits.exp_().sum(1, keepdim=True)
                loss += total.log().sum() - at_labels
                logits /= total
                logits.scatter_add_(1, told, torch.full_like(told, -1, dtype=logits.dtype))
                d_bias += logits.sum(0)
                d_logits = logits.to(product)
                d_states[i : i + rows] = d_logits @ words
                if product == d_weight.dtype:
                    d_weight.addmm_(d_logits.T, part)
                else:
                    d_weight += d_logits.T @ part
        ctx.save_for_backward(d_states, d_weight, d_bias)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad * found for found in ctx.saved_tensors), None, None, None
