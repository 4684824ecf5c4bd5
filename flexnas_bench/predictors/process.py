"""A Gaussian process whose noise differs from region to region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]
#: Mean and standard deviation of the normal prior on the logarithm of the length scale in units of the data's.
_PRIOR_MEAN, _PRIOR_STD = 1.0, 2.0
_STEPS = 60
#: The least noise, and the least share of the process's variance, which keep a matrix invertible where there is none.
_LEAST, _LEAST_SHARE = 1e-8, 1e-9
#: Significant digits of hyperparameters that are found: further ones differ from machine to machine, and say nothing.
_DIGITS = 4


class Predicted(NamedTuple):
    """Predictions of `n` points, each `(n,)`, in the unit of the targets.

    Attributes:
        mean: what one observation is on average.
        epistemic_std: standard deviation of that mean, which more data would make smaller.
        aleatoric_std: standard deviation of an observation about it, which stays.
    """

    mean: Array
    epistemic_std: Array
    aleatoric_std: Array


@dataclass(frozen=True)
class ProcessSettings:
    """Hyperparameters, in units of the standard deviations of vectors and targets.

    Attributes:
        length: length scale.
        variance: of the process.
        noises: variance of the noise, by region.
    """

    length: float
    variance: float
    noises: Mapping[int, float]


class RegionalProcess:
    """Gaussian-process regression with a Matern 3/2 kernel and one noise for each region of the points.

    Rasmussen and Williams 2006, algorithm 2.1, with the noise of its own region on the diagonal for every point.

    Args:
        x: points, `(n, d)`.
        y: targets, `(n,)`, finite.
        regions: whole number of the region of each point, `(n,)`.
        settings: hyperparameters; those of the highest posterior density if not given (see `likeliest`).

    Attributes:
        settings: as given, or as found.
    """

    def __init__(self, x: Array, y: Array, regions: NDArray[np.int64], settings: ProcessSettings | None = None) -> None:
        self._x, self._regions = x, regions
        self._unit = math.sqrt(float(x.var(axis=0).sum())) or 1.0
        self._centre, self._scale = float(y.mean()), float(y.std()) or 1.0
        target = (y - self._centre) / self._scale
        self.settings = settings or likeliest(cdist(x, x) / self._unit, target, regions)
        self._cholesky = cholesky(self._kernel(x) + np.diag(self._noise(regions)), lower=True)
        self._weights = cho_solve((self._cholesky, True), target)

    def predict(self, x: Array, regions: NDArray[np.int64]) -> Predicted:
        """Predictions of points `(m, d)`; a region that has no noise of its own has that of the nearest number."""
        kernel = self._kernel(x)
        explained = solve_triangular(self._cholesky, kernel.T, lower=True)
        variance = (self.settings.variance - np.square(explained).sum(axis=0)).clip(0)
        return Predicted(
            self._centre + self._scale * (kernel @ self._weights),
            self._scale * np.sqrt(variance),
            self._scale * np.sqrt(self._noise(regions)),
        )

    def leave_one_out(self) -> Predicted:
        """Predictions of the own points, each by the process of all others (Rasmussen and Williams 2006, 5.4.2)."""
        precision = np.diag(cho_solve((self._cholesky, True), np.eye(len(self._x))))
        noise = self._noise(self._regions)
        target = self._cholesky @ (self._cholesky.T @ self._weights)
        return Predicted(
            self._centre + self._scale * (target - self._weights / precision),
            self._scale * np.sqrt((1 / precision - noise).clip(0)),
            self._scale * np.sqrt(noise),
        )

    def noise_std(self, region: int) -> float:
        """Standard deviation of the noise of a region, in the unit of the targets."""
        return float(self._scale * np.sqrt(self._noise(np.array([region]))[0]))

    def _kernel(self, x: Array) -> Array:
        found = matern(cdist(x, self._x) / (self._unit * self.settings.length))
        found *= self.settings.variance
        return found

    def _noise(self, regions: NDArray[np.int64]) -> Array:
        return by_region(self.settings.noises, regions)


def by_region(values: Mapping[int, float], regions: NDArray[np.int64]) -> Array:
    """The value of each region, `(n,)`; a region without one has that of the nearest number."""
    known = np.array(sorted(values))
    nearest = known[np.abs(regions[:, None] - known).argmin(axis=1)]
    return np.array([values[int(region)] for region in nearest])


def matern(distances: Array) -> Array:
    """The Matern 3/2 correlation at distances in units of the length scale."""
    scaled = math.sqrt(3) * distances
    correlations = np.exp(-scaled)
    scaled += 1
    correlations *= scaled  # in place, as millions of them take longer to move than to compute
    return correlations


def likeliest(distances: Array, target: Array, regions: NDArray[np.int64]) -> ProcessSettings:
    """Hyperparameters of the highest posterior density, by L-BFGS from one start.

    The prior is flat but for the length scale, whose logarithm is normal, mean 1 and deviation 2.

    Args:
        distances: of the points in units of their deviation, `(n, n)`.
        target: standardised, `(n,)`.
        regions: of the points, `(n,)`.

    Returns:
        Hyperparameters, to four digits.
    """
    import torch  # which predictions with given hyperparameters do not need

    from flexnas_bench.predictors.seeding import reproducible

    names, region = np.unique(regions, return_inverse=True)
    places = torch.from_numpy(region)
    apart, y = math.sqrt(3) * torch.from_numpy(distances), torch.from_numpy(target)
    start = [_PRIOR_MEAN, math.log(1.5), *[math.log(0.15)] * len(names)]
    with reproducible(0):
        logs = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        search = torch.optim.LBFGS([logs], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            search.zero_grad()
            scaled, variance = apart / logs[0].exp(), logs[1].exp()
            noise = logs[2:].exp()[places] + _LEAST + _LEAST_SHARE * variance
            factor = torch.linalg.cholesky(variance * (1 + scaled) * torch.exp(-scaled) + torch.diag(noise))
            half = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
            prior = ((logs[0] - _PRIOR_MEAN) / _PRIOR_STD).square() / 2
            value: torch.Tensor = half.square().sum() / 2 + factor.diagonal().log().sum() + prior
            value.backward()  # type: ignore[no-untyped-call]  # torch ships it without hints
            return value

        search.step(loss)  # type: ignore[no-untyped-call]  # likewise
        length, variance, *noises = logs.detach().exp().tolist()
    noises = [noise + _LEAST + _LEAST_SHARE * variance for noise in noises]
    rounded = [float(f"{value:.{_DIGITS}g}") for value in (length, variance, *noises)]
    return ProcessSettings(rounded[0], rounded[1], dict(zip(names.tolist(), rounded[2:], strict=True)))
