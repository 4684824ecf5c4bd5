import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from flexnas_bench.predictors.process import GaussianProcess

LENGTH, SCALE, NOISE = 1.7, 1.3, 0.2


@pytest.fixture
def points():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 5))
    return x, 70 + 3 * np.sin(x[:, 0]) + rng.normal(size=60), rng.normal(size=(40, 5))


def peer(x, y):
    unit = np.sqrt(x.var(axis=0).sum())
    kernel = ConstantKernel(SCALE**2) * Matern(LENGTH * unit, nu=0.5) + WhiteKernel(NOISE)
    return GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(x, y)


def test_it_predicts_as_scikit_learn_does(points):
    x, y, new = points
    mean, std = GaussianProcess(x, y, length=LENGTH, scale=SCALE, noise=NOISE).predict(new)
    expected_mean, expected_std = peer(x, y).predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected_mean)
    np.testing.assert_allclose(std, expected_std)


def test_leaving_one_out_is_fitting_without_it(points):
    x, y, _ = points
    process = GaussianProcess(x, y, length=LENGTH, scale=SCALE, noise=NOISE)
    covariance = SCALE**2 * np.exp(-np.linalg.norm(x[:, None] - x[None], axis=-1) / process._length)
    for i in (0, 17, 59):
        others = np.arange(60) != i
        inner = covariance[np.ix_(others, others)] + NOISE * np.eye(59)
        weights = np.linalg.solve(inner, y[others] - y.mean())
        assert process.leave_one_out()[i] == pytest.approx(y.mean() + covariance[i, others] @ weights)


def test_equal_targets_are_predicted(points):
    x, _, new = points
    mean, _ = GaussianProcess(x, np.full(60, 70.0), length=1.0, scale=1.0, noise=0.1).predict(new)
    np.testing.assert_allclose(mean, 70.0)
