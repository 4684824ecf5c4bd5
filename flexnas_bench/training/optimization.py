"""AdamW and its schedule, as all trainings here have them."""

from __future__ import annotations

import torch
from torch import nn

from flexnas_bench.training.recipe import Recipe


def adamw(model: nn.Module, settings: Recipe) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices alone, by the settings of a recipe."""
    decayed = [value for value in model.parameters() if value.ndim > 1]
    others = [value for value in model.parameters() if value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, eps=settings.epsilon, fused=True)


def rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Learning rate of a step, counted from 0: up to the peak in a line, and down to 0 after the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / max(steps - warmup, 1)


def set_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """The learning rate of all groups."""
    for group in optimizer.param_groups:
        group["lr"] = value
