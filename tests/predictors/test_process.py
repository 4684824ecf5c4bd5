import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from flexnas_bench.predictors.process import ProcessSettings, RegionalProcess, likeliest, matern

SETTINGS = ProcessSettings(length=0.8, variance=1.7, noises={2: 0.3, 4: 0.02})


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x, regions = rng.normal(size=(60, 4)), np.repeat([2, 4], 30)
    y = 70 + 3 * np.sin(x[:, 0]) + rng.normal(size=60) * np.where(regions == 2, 1.0, 0.1)
    return x, y, regions


def peer(x, y, regions):
    """scikit-learn's process of the same hyperparameters, with the noise of each point given."""
    unit, noise = np.sqrt(x.var(axis=0).sum()), np.where(regions == 2, 0.3, 0.02)
    kernel = ConstantKernel(1.7) * Matern(0.8 * unit, nu=1.5)
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(x, (y - y.mean()) / y.std())


def test_it_is_scikit_learns_process_of_the_same_hyperparameters(data):
    x, y, regions = data
    new, regions_new = np.random.default_rng(1).normal(size=(20, 4)), np.tile([2, 4], 10)
    mean, std = peer(*data).predict(new, return_std=True)
    found = RegionalProcess(x, y, regions, SETTINGS).predict(new, regions_new)
    np.testing.assert_allclose(found.mean, y.mean() + y.std() * mean, rtol=1e-9)
    np.testing.assert_allclose(found.epistemic_std, y.std() * std, rtol=1e-6)
    np.testing.assert_allclose(found.aleatoric_std, y.std() * np.sqrt(np.where(regions_new == 2, 0.3, 0.02)))


def test_leave_one_out_is_the_process_of_all_others(data):
    x, y, regions = data
    found = RegionalProcess(x, y, regions, SETTINGS).leave_one_out()
    unit, noise = np.sqrt(x.var(axis=0).sum()), np.where(regions == 2, 0.3, 0.02)
    target = (y - y.mean()) / y.std()
    for i in range(0, 60, 7):
        rest = np.arange(60) != i
        kernel = ConstantKernel(1.7) * Matern(0.8 * unit, nu=1.5)
        other = GaussianProcessRegressor(kernel, alpha=noise[rest], optimizer=None).fit(x[rest], target[rest])
        mean, std = other.predict(x[[i]], return_std=True)
        assert found.mean[i] == pytest.approx(y.mean() + y.std() * mean[0], rel=1e-9)
        assert found.epistemic_std[i] == pytest.approx(y.std() * std[0], rel=1e-6)


def test_hyperparameters_have_the_highest_density(data):
    """Against the density itself, from scikit-learn, on a grid around what was found."""
    x, y, regions = data
    target = (y - y.mean()) / y.std()
    distances = cdist(x, x) / np.sqrt(x.var(axis=0).sum())
    best = likeliest(distances, target, regions)

    def density(length, variance, noises):
        noise = np.array([noises[region] for region in regions])
        covariance = variance * matern(distances / length) + np.diag(noise)
        sign, determinant = np.linalg.slogdet(covariance)
        assert sign == 1
        return -(target @ np.linalg.solve(covariance, target) + determinant) / 2 - ((np.log(length) - 1) / 2) ** 2 / 2

    top = density(best.length, best.variance, best.noises)
    for factor in (0.9, 1.1):
        assert density(best.length * factor, best.variance, best.noises) < top
        assert density(best.length, best.variance * factor, best.noises) < top
        for region in best.noises:
            assert density(best.length, best.variance, best.noises | {region: best.noises[region] * factor}) < top


def test_noise_of_known_size_is_found_in_each_region_and_intervals_cover():
    rng = np.random.default_rng(3)
    x, regions = rng.normal(size=(500, 2)), rng.choice([2, 4], 500)
    truth = 60 + 5 * np.tanh(x[:, 0]) + x[:, 1]
    y = truth + rng.normal(size=500) * np.where(regions == 2, 1.0, 0.3)
    process = RegionalProcess(x[:350], y[:350], regions[:350])
    found = process.predict(x[350:], regions[350:])
    for region, noise in ((2, 1.0), (4, 0.3)):
        assert found.aleatoric_std[regions[350:] == region][0] == pytest.approx(noise, rel=0.25)
    errors = np.abs(y[350:] - found.mean) / np.hypot(found.epistemic_std, found.aleatoric_std)
    for share, width in ((0.5, 0.674), (0.8, 1.282), (0.95, 1.96)):
        assert np.mean(errors < width) == pytest.approx(share, abs=0.1)
    assert np.abs(truth[350:] - found.mean).mean() < 0.3


def test_a_region_without_noise_of_its_own_has_that_of_the_nearest_and_torch_is_left_alone(data):
    state = torch.random.get_rng_state()
    found = RegionalProcess(*data).predict(data[0][:3], np.array([1, 9, 4]))
    assert found.aleatoric_std[0] > found.aleatoric_std[1] == found.aleatoric_std[2]
    assert torch.equal(state, torch.random.get_rng_state())


def test_equal_targets_are_predicted():
    regions = np.full(4, 2)
    found = RegionalProcess(np.eye(4), np.full(4, 5.0), regions, SETTINGS).predict(np.eye(4), regions)
    np.testing.assert_allclose(found.mean, 5.0)
