"""A Gaussian process with a given kernel: mean and spread at any point, and at its own points without them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]


class GaussianProcess:
    """Regression with the exponential kernel (Matern-1/2) and noise: k(x, x') = scale^2 exp(-|x - x'| / length).

    Rasmussen and Williams 2006, algorithm 2.1; nothing is fitted, so that the same points give the same answers.

    Args:
        x: points, `(n, d)`.
        y: targets, `(n,)`; standardised here.
        length: length scale, in units of the root of the total variance of `x`.
        scale: standard deviation of the process, in units of that of `y`.
        noise: variance of the noise, in units of the variance of `y`.
    """

    def __init__(self, x: Array, y: Array, *, length: float, scale: float, noise: float) -> None:
        self._x, self._y, self._noise, self._variance = x, y, noise, scale**2
        self._length = length * max(float(np.sqrt(x.var(axis=0).sum())), 1e-12)
        self._unit = max(float(y.std()), 1e-12)
        covariance = self._kernel(x) + noise * np.eye(len(x))
        self._factor = cho_factor(covariance, lower=True)
        self._weights: Array = cho_solve(self._factor, (y - y.mean()) / self._unit)

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, noise included, of one target at each point `(m, d)`; both `(m,)`."""
        across = self._kernel(x)
        explained = (across * cho_solve(self._factor, across.T).T).sum(axis=1)
        spread = np.sqrt(np.maximum(self._variance + self._noise - explained, self._noise))
        return self._y.mean() + self._unit * (across @ self._weights), self._unit * spread

    def leave_one_out(self) -> Array:
        """The mean at each own point of the process fitted to all others, `(n,)` (equation 5.12).

        The mean and the unit of all targets stay as they are.
        """
        precision = np.diag(cho_solve(self._factor, np.eye(len(self._x))))
        without: Array = self._y - self._unit * self._weights / precision
        return without

    def _kernel(self, x: Array) -> Array:
        covariance: Array = self._variance * np.exp(-cdist(x, self._x) / self._length)
        return covariance
