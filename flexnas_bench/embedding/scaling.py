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
_SAMPLE_STEPS, _ROUGH_STEPS, _STEPS, _PLACING_STEPS = 150, 6, 30, 40
_STILL = 1e-4  # a move that counts as none
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
    given = torch.tensor(distances).to(_device())
    sample = torch.from_numpy(np.random.default_rng(seed).permutation(len(given))[:_SAMPLE]).to(given.device)
    inner = given[sample][:, sample]
    landmarks = _classical(inner, dim)
    for _ in range(_SAMPLE_STEPS):
        landmarks -= _RELAXATION * _pull(landmarks, landmarks, inner)[0]
    points = _place(given[:, sample], landmarks, steps=_ROUGH_STEPS)
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
    device = _device()
    given, fixed = (torch.tensor(array).to(device) for array in (distances, landmarks))
    placed: NDArray[np.float32] = _place(given, fixed, steps=_PLACING_STEPS).cpu().numpy()
    return placed


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _place(given: Tensor, landmarks: Tensor, steps: int) -> Tensor:
    """Each point by itself: where squared distances would be right (Gower 1968), and from there by damped Newton steps.

    A step that does not lower the error of a point is not taken, and its next one is shorter (Levenberg and Marquardt).
    """
    fixed = landmarks.double()
    centre = fixed.mean(dim=0)
    excess = (fixed - centre).square().sum(dim=1) - given.double().square()
    points = excess @ torch.linalg.pinv(fixed - centre).T / 2 + centre
    parts = (slice(first, first + _ROWS) for first in range(0, len(points), _ROWS))
    return torch.cat([_descend(points[rows], fixed, given[rows].double(), steps) for rows in parts]).float()


def _descend(points: Tensor, fixed: Tensor, given: Tensor, steps: int) -> Tensor:
    """Newton steps of all points side by side, of each until it no longer moves."""
    unit = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    damping = torch.full((len(points), 1, 1), 0.01, dtype=points.dtype, device=points.device)
    apart = torch.cdist(points, fixed).clamp(min=1e-3)
    products = (fixed[:, :, None] * fixed[:, None, :]).flatten(1)
    going = torch.arange(len(points), device=points.device)
    for _ in range(steps):
        here, wanted, now = points[going], given[going], apart[going]
        gradient, curvature = _slopes(here, fixed, products, wanted, now)
        ahead = here - torch.linalg.solve(curvature + damping[going] * len(fixed) * unit, gradient)
        then = torch.cdist(ahead, fixed).clamp(min=1e-3)
        better = (then - wanted).square().sum(dim=1) < (now - wanted).square().sum(dim=1)
        points[going[better]], apart[going[better]] = ahead[better], then[better]
        damping[going] *= torch.where(better, 0.2, 5.0).to(points.dtype)[:, None, None]
        moves = (ahead - here).abs().amax(dim=1) >= _STILL
        going = going[torch.where(better, moves, damping[going].ravel() <= 1e3)]
        if not len(going):
            break
    return points


def _slopes(points: Tensor, fixed: Tensor, products: Tensor, given: Tensor, apart: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian of half the sum of squared errors of each point, `(n, d)` and `(n, d, d)`.

    `products` are those of the coordinates of each fixed point with each other, `(L, d * d)`.
    """
    weights = 1 - given / apart
    bend = given / apart**3
    dim = points.shape[1]
    cross = points[:, :, None] * (bend @ fixed)[:, None, :]
    outer = points[:, :, None] * points[:, None, :] * bend.sum(dim=1)[:, None, None]
    outer = outer - cross - cross.transpose(1, 2) + (bend @ products).reshape(-1, dim, dim)
    pull = weights.sum(dim=1, keepdim=True)
    unit = torch.eye(dim, dtype=points.dtype, device=points.device)
    return pull * points - weights @ fixed, outer + pull[:, :, None] * unit


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
