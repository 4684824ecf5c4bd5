"""BOSHNAS's surrogate: NPN, teacher and student fitted together (paper section 3.4.2, equations 1 and 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from flexnas_bench.predictors.npn import NPN, npn_loss
from flexnas_bench.predictors.plain import PlainNetwork, squared_loss
from flexnas_bench.predictors.student import Student
from flexnas_bench.predictors.teacher import MCDropout


@dataclass(frozen=True)
class SurrogateSettings:
    """How the three networks are fitted: steps of Adam, on all evaluated points at once for NPN and teacher.

    `weight_decay` is that of NPN and teacher; the student learns the spread of `mc_samples` dropout masks at
    `student_points` points, `student_batch` of them a step.
    """

    npn_steps: int = 40
    teacher_steps: int = 100
    student_steps: int = 60
    learning_rate: float = 0.01
    weight_decay: float = 0.3
    mc_samples: int = 64
    student_points: int = 512
    student_batch: int = 64


_DEFAULTS = SurrogateSettings()


class Surrogate:
    """Predicts performance with both uncertainties at any point of the embedding.

    Args:
        x: embeddings of evaluated cards, `(n, d)`.
        y: their performance, `(n,)`; standardised here.
        candidates: embeddings of the design space, `(N, d)`, on which the student learns the teacher's spread.
        settings: how to fit.
        heteroscedastic: whether the mean comes from an NPN, with its sigma; otherwise from a plain network of its
            widths, and sigma is 0.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        candidates: Tensor,
        settings: SurrogateSettings = _DEFAULTS,
        *,
        heteroscedastic: bool = True,
    ) -> None:
        self._settings = settings
        self._centre, self._scale = y.mean(), (y.std() if len(y) > 1 else torch.ones(())).clamp_min(1e-6)
        target = (y - self._centre) / self._scale
        inputs = x.shape[1]
        self.npn: nn.Module = NPN(inputs) if heteroscedastic else PlainNetwork(inputs)
        self.teacher = MCDropout(inputs)
        loss, decay = npn_loss if heteroscedastic else squared_loss, settings.weight_decay
        self._fit(self.npn, settings.npn_steps, lambda _: loss(self.npn(x), target), decay)
        self._fit(self.teacher, settings.teacher_steps, lambda _: mse_loss(self.teacher(x), target), decay)
        self.student = self._fit_student(x, candidates)
        for network in (self.npn, self.teacher, self.student):
            network.requires_grad_(False)

    def mean(self, x: Tensor) -> Tensor:
        """Predicted performance of points `(..., d)` on the scale of what was told, `(...)`."""
        mean: Tensor = self._centre + self._scale * self.npn(x)[0]
        return mean

    def ucb(self, x: Tensor, k1: float, k2: float) -> Tensor:
        """Upper confidence bound mu + k1 sigma + k2 xi of points `(..., d)`, equation (1), as `(...)`."""
        mean, sigma = self.npn(x)
        bound: Tensor = mean + k1 * sigma + k2 * self.student(x)
        return bound

    def uncertainty(self, x: Tensor, k1: float, k2: float) -> Tensor:
        """k1 sigma + k2 xi of points `(..., d)`, as uncertainty sampling ranks them (Algorithm 1, line 15)."""
        uncertainty: Tensor = k1 * self.npn(x)[1] + k2 * self.student(x)
        return uncertainty

    def _fit(self, network: nn.Module, steps: int, loss: Callable[[int], Tensor], weight_decay: float) -> None:
        """Fits a network with Adam; only weights proper decay, not biases and not the variances of an NPN."""
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter in network.named_parameters():
            groups[name.endswith("weight")].append(parameter)
        adam = torch.optim.Adam(
            [
                {"params": groups[True], "weight_decay": weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            self._settings.learning_rate,
            fused=True,
        )
        for step in range(steps):
            adam.zero_grad()
            loss(step).backward()  # type: ignore[no-untyped-call]  # torch ships it without hints
            adam.step()

    def _fit_student(self, x: Tensor, candidates: Tensor) -> Student:
        """A student of the teacher's spread: three quarters of its points are candidates, the rest evaluated ones.

        As they are many, weights need no decay.
        """
        settings = self._settings
        known = settings.student_points // 4
        fresh = torch.randint(len(candidates), (settings.student_points - known,))
        points = torch.cat([candidates[fresh], x[torch.randint(len(x), (known,))]])
        spread = self.teacher.spread(points, settings.mc_samples)
        scale = float(spread.mean().clamp_min(1e-6))
        student, target = Student(x.shape[1], scale=scale), spread / scale
        batches = torch.randint(len(points), (settings.student_steps, settings.student_batch))
        self._fit(
            student,
            settings.student_steps,
            lambda step: mse_loss(student(points[batches[step]]) / scale, target[batches[step]]),
            0.0,
        )
        return student
