"""Points whose Euclidean distances follow given distances: metric multidimensional scaling (section 3.3.2).

The loss is the paper's, the mean squared difference of distances over all pairs, also called raw stress. It is made
smaller by majorisation (SMACOF, de Leeuw 1977), which begins with classical scaling (Torgerson 1952) of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexnas_bench.processes import Progress

_SAMPLE = 1_000  # points placed first
_SAMPLE_STEPS, _STEPS, _PLACING_STEPS = 150, 30, 60
_RELAXATION = 1.8  # of 1 for plain majorisation; below 2 it converges, and faster (de Leeuw and Heiser 1980)
_ROWS = 512  # worked on at a time, so that they stay in the cache


@dataclass(frozen=True)
class Scaled:
    """Points, and how well they follow.

    Attributes:
        points: float32, shape `(N, dim)`; centred, along principal axes.
        error: mean squared difference between distances of points and given distances, over all pairs.
    """

    points: NDArray[np.float32]
    error: float


def scale(distances: NDArray[np.float32], dim: int, *, seed: int = 0, progress: Progress | None = None) -> Scaled:
    """Points in `dim` dimensions whose distances follow a symmetric matrix of shape `(N, N)`.

    Runs on a GPU where there is one. The same seed gives the same points, up to rounding.
    """
    given = torch.tensor(distances).to("cuda" if torch.cuda.is_available() else "cpu")
    sample = torch.from_numpy(np.random.default_rng(seed).permutation(len(given))[:_SAMPLE]).to(given.device)
    inner = given[sample][:, sample]
    landmarks = _classical(inner, dim)
    for _ in range(_SAMPLE_STEPS):
        landmarks -= _RELAXATION * _pull(landmarks, landmarks, inner)[0]
    points = _place(given[:, sample], landmarks)
    for step in range(_STEPS):
        points -= _RELAXATION * _pull(points, points, given)[0]
        if progress:
            progress("Placing points", step + 1, _STEPS)
    points -= points.mean(dim=0)
    points = points @ _axes(points)
    _, squares = _pull(points, points, given)
    return Scaled(points.cpu().numpy(), squares / max(1, len(given) * (len(given) - 1)))


def place(distances: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """New points by their distances to points that stay where they are.

    Args:
        distances: shape `(n, L)`.
        landmarks: shape `(L, dim)`.

    Returns:
        The points, shape `(n, dim)`; each is where the mean squared error to the landmarks is (locally) least.
    """
    return _place(torch.from_numpy(distances), torch.from_numpy(landmarks)).numpy()


def _place(given: Tensor, landmarks: Tensor) -> Tensor:
    """Begins where squared distances would be right (Gower 1968), then majorises."""
    centre = landmarks.mean(dim=0)
    around = (landmarks - centre).double()
    excess = around.square().sum(dim=1) - given.double().square()
    points: Tensor = (excess @ torch.linalg.pinv(around).T / 2).float() + centre
    for _ in range(_PLACING_STEPS):
        points -= _RELAXATION * _pull(points, landmarks, given)[0]
    return points


def _classical(given: Tensor, dim: int) -> Tensor:
    """Classical scaling: the leading eigenvectors of the doubly centred squares; zeros where there are no more."""
    squares = -given.double().square() / 2
    squares = squares - squares.mean(dim=0) - squares.mean(dim=1, keepdim=True) + squares.mean()
    values, vectors = torch.linalg.eigh(squares)
    points = vectors[:, -dim:] * values[-dim:].clamp(min=0).sqrt()
    padded: Tensor = torch.nn.functional.pad(points, (dim - points.shape[1], 0))
    return padded.float()


def _pull(points: Tensor, others: Tensor, given: Tensor) -> tuple[Tensor, float]:
    """The step of majorisation, x less the mean of where the others want it; and the sum of squared errors."""
    step, total = torch.empty_like(points), 0.0
    lengths = others.square().sum(dim=1)
    for first in range(0, len(points), _ROWS):
        rows = slice(first, first + _ROWS)
        x = points[rows]
        squares = torch.addmm(lengths, x, others.T, alpha=-2).add_(x.square().sum(dim=1, keepdim=True))
        apart = squares.clamp_(min=1e-6).sqrt_()
        wrong = apart - given[rows]
        total += float(wrong.square().sum(dtype=torch.float64))
        weights = wrong.div_(apart)
        step[rows] = (weights.sum(dim=1, keepdim=True) * x - weights @ others) / len(others)
    return step, total


def _axes(points: Tensor) -> Tensor:
    """Principal axes of centred points, the widest first, each with a positive largest component."""
    values, axes = torch.linalg.eigh((points.T @ points).double())
    axes = axes[:, values.argsort(descending=True)]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    signed: Tensor = axes * largest.sign()
    return signed.to(points.dtype)
