"""AdaHessian: Adam with the Hessian's diagonal in place of the gradient's square (Yao et al. 2021).

Without the paper's spatial averaging, which is for blocks of weights: here every coordinate of a point is its own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def hutchinson_diagonal(gradient: Tensor, x: Tensor) -> Tensor:
    """Estimates the diagonal of a Hessian as z * (H z) with a Rademacher vector z (Hutchinson); unbiased.

    Args:
        gradient: gradient at `x` of a sum over rows, made with `create_graph=True`; shape of `x`.
        x: points `(rows, d)`; as rows do not interact, one product serves all of them.
    """
    z = torch.randint_like(x, 2) * 2 - 1
    (product,) = torch.autograd.grad(gradient, x, z)
    return z * product


def adahessian_maximise(
    objective: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    steps: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-4,
    low: Tensor | None = None,
    high: Tensor | None = None,
    tolerance: float = 1e-3,
    second_order: bool = True,
) -> Tensor:
    """Climbs an objective from several starts at once; rows of `start` do not interact.

    Args:
        objective: maps points `(rows, d)` to values `(rows,)`, twice differentiable.
        start: starting points `(rows, d)`.
        steps: most steps taken; fewer once no coordinate moves by more than `tolerance`.
        learning_rate: factor of the second-order step.
        betas: decay of the gradient's mean and of the squared diagonal's mean.
        epsilon: added to the root of the latter.
        low: smallest coordinates allowed, `(d,)`; no bound if `None`.
        high: largest coordinates allowed, `(d,)`.
        tolerance: see `steps`.
        second_order: whether to use the Hessian's diagonal; its place is taken by the gradient otherwise, which
            makes this Adam.

    Returns:
        The points reached, `(rows, d)`.
    """
    x = start.clone()
    first, second = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(1, steps + 1):
        x.requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(x).sum(), x, create_graph=second_order)
        diagonal = hutchinson_diagonal(gradient, x) if second_order else gradient
        first = betas[0] * first + (1 - betas[0]) * gradient.detach()
        second = betas[1] * second + (1 - betas[1]) * diagonal.square()
        corrected = first / (1 - betas[0] ** step), second / (1 - betas[1] ** step)
        moved = x.detach() + learning_rate * corrected[0] / (corrected[1].sqrt() + epsilon)
        moved = moved.clamp(low, high) if low is not None or high is not None else moved
        shift = (moved - x.detach()).abs().max()
        x = moved
        if shift < tolerance:
            break
    return x
