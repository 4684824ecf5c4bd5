"""Scaling against distances that points have, against scikit-learn, and against its own minimum."""

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize
from scipy.spatial.distance import cdist
from sklearn.manifold import MDS

from flexnas_bench import load_space
from flexnas_bench.distance.pairs import ged_bounds
from flexnas_bench.embedding.knee import error_by_dimension, knee
from flexnas_bench.embedding.scaling import place, scale

RNG = np.random.default_rng(0)


def loss(points, distances):
    """The paper's loss, as a mean over all pairs."""
    apart = cdist(points, points)
    return np.square(apart - distances).sum() / (len(points) * (len(points) - 1))


@pytest.fixture(scope="module")
def distances():
    return ged_bounds(load_space("g1").sample(150, seed=3))[0]


@pytest.mark.parametrize("n", [2, 40, 1_300])
def test_points_come_back_from_their_distances(n):
    points = RNG.normal(size=(n, 3)) * [5, 2, 1]
    given = cdist(points, points).astype(np.float32)
    found = scale(given, 3)
    assert found.error < 1e-4
    np.testing.assert_allclose(cdist(found.points, found.points), given, atol=0.05)
    np.testing.assert_allclose(found.points.mean(axis=0), 0, atol=1e-4)
    spread = found.points.var(axis=0)
    assert (np.diff(spread) <= 1e-5).all()


def test_the_error_is_the_loss_of_the_paper(distances):
    found = scale(distances, 16)
    assert found.error == pytest.approx(loss(found.points.astype(np.float64), distances), rel=1e-4)


@pytest.mark.parametrize("dim", [2, 16])
def test_no_worse_than_scikit_learn(distances, dim):
    """Raw stress, the same loss, from two random starts."""
    peer = MDS(dim, metric="precomputed", n_init=2, init="random", max_iter=1_000, eps=1e-9, random_state=0)
    theirs = loss(peer.fit_transform(distances.astype(np.float64)), distances)
    assert scale(distances, dim).error <= 1.01 * theirs


def test_the_minimum_is_one(distances):
    given, dim = distances[:60, :60].astype(np.float64), 4
    found = scale(distances[:60, :60].copy(), dim)

    def value(flat):
        return loss(flat.reshape(-1, dim), given)

    def gradient(flat):
        points = flat.reshape(-1, dim)
        apart = cdist(points, points) + np.eye(len(points))
        weights = (1 - given / apart) * (1 - np.eye(len(points)))
        return (
            4 * (weights.sum(axis=1)[:, None] * points - weights @ points).ravel() / (len(points) * (len(points) - 1))
        )

    assert check_grad(value, gradient, RNG.normal(size=60 * dim) * 30) < 1e-3
    polished = minimize(value, found.points.ravel().astype(np.float64), jac=gradient, method="L-BFGS-B")
    assert found.error <= polished.fun * 1.01


def test_the_same_seed_gives_the_same_points(distances):
    first, second = scale(distances, 5, seed=1), scale(distances, 5, seed=1)
    np.testing.assert_array_equal(first.points, second.points)


def test_more_dimensions_than_points():
    found = scale(np.array([[0, 3], [3, 0]], np.float32), 5)
    assert found.points.shape == (2, 5)
    assert found.error < 1e-5


def test_new_points_are_placed_where_they_belong(distances):
    landmarks = RNG.normal(size=(200, 4)).astype(np.float32)
    new = RNG.normal(size=(7, 4))
    np.testing.assert_allclose(place(cdist(new, landmarks).astype(np.float32), landmarks), new, atol=1e-2)
    found = scale(distances, 16).points
    again = place(distances[:20, 20:].copy(), found[20:])
    moved = np.linalg.norm(again - found[:20], axis=1)
    assert np.median(moved) < 0.1 * distances.mean()


def test_the_knee():
    dimensions = (1, 2, 4, 8, 16)
    errors = error_by_dimension(cdist(*[RNG.normal(size=(80, 4))] * 2).astype(np.float32), dimensions)
    assert errors[0] > errors[1] > errors[2] > -1e-6
    assert max(errors[2:]) < 1e-5
    assert knee(dimensions, errors) == 4


def test_a_placed_point_is_where_its_error_is_least(distances):
    landmarks = scale(distances[20:, 20:].copy(), 16).points
    given = distances[:3, 20:].copy()
    for point, wanted in zip(place(given, landmarks), given, strict=True):

        def error(x, wanted=wanted):
            return np.square(np.linalg.norm(landmarks - x, axis=1) - wanted).mean()

        starts = [point, *np.random.default_rng(0).normal(size=(3, 16)) * 60]
        best = min(minimize(error, start, method="BFGS").fun for start in starts)
        assert error(point) <= best * 1.0005
