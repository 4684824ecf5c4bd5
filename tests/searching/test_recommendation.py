import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from flexnas_bench import load_space, search
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.recommendation import (
    EVERY_STEP,
    LENGTH,
    NOISES,
    posterior_means,
    recommendations,
    recommended_so_far,
)


@pytest.mark.parametrize("noise", [0.05, 2.0])
def test_means_are_those_of_scikit_learns_process_of_the_likeliest_noise(noise):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    y = 70 + x[:, 0] + noise * rng.normal(size=40)
    squares = cdist(x, x, "sqeuclidean")
    length = LENGTH * np.sqrt(squares.sum() / (40 * 39))
    centred = y - y.mean()
    found = []
    for each in NOISES:
        unit = GaussianProcessRegressor(Matern(length, nu=2.5) + WhiteKernel(each), alpha=0, optimizer=None)
        signal = centred @ unit.fit(x, centred).alpha_ / 40  # where the likelihood is highest
        kernel = ConstantKernel(signal) * Matern(length, nu=2.5) + WhiteKernel(signal * each)
        process = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(x, centred)
        found.append((process.log_marginal_likelihood_value_, process.predict(x)))
    likeliest = max(found, key=lambda one: one[0])[1]
    np.testing.assert_allclose(posterior_means(squares, y), y.mean() + likeliest, atol=1e-6)


def test_equal_readings_stay_as_they_are():
    np.testing.assert_array_equal(posterior_means(np.ones((3, 3)), np.full(3, 5.0)), np.full(3, 5.0))
    np.testing.assert_array_equal(posterior_means(np.zeros((1, 1)), np.array([5.0])), [5.0])


def runs(cards, readings, seed=0):
    """A run of these cards in order, and the cards with what they score."""
    rows = [
        (seed, step, card.hash, reading) for step, (card, reading) in enumerate(zip(cards, readings, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=["seed", "step", "card_hash", "value"])


def table(cards, expected):
    rows = [(card.hash, card.to_json(), value) for card, value in zip(cards, expected, strict=True)]
    return pd.DataFrame(rows, columns=["card_hash", "card", "expected"])


def test_a_lucky_reading_among_bad_ones_is_not_recommended():
    space = load_space("homogeneous")
    cards = space.sample(60, seed=2)
    truth = np.array([card.num_layers + card.layers[0].hidden / 128 for card in cards], dtype=float)
    readings = truth + 0.1 * np.random.default_rng(3).normal(size=60)
    unlucky = truth.argmin()
    readings[unlucky] = readings.max() + 0.01
    found = recommended_so_far(runs(cards, readings), table(cards, truth))
    assert found.loc[0, 60] == truth.max()
    assert truth[readings.argmax()] == truth.min()


def test_what_failed_is_not_recommended_and_what_stopped_keeps_its_card():
    cards = load_space("g1").sample(4, seed=0)
    frame = pd.concat([runs(cards, [np.nan, 3.0, np.nan, 9.0]), runs(cards[:2], [np.nan, 1.0], seed=1)])
    found = recommended_so_far(frame.sample(frac=1, random_state=0), table(cards, [10.0, 20.0, 30.0, 40.0]))
    np.testing.assert_array_equal(found.to_numpy(), [[np.nan, 20, 20, 40], [np.nan, 20, 20, 20]])


def test_it_never_looks_ahead_and_judges_noisy_problems_alone(bench, tmp_path):
    for seed in range(2):
        search(bench, "random", "g1", budget=25, seed=seed, noisy=True, out=tmp_path / "noisy")
    search(bench, "random", "g1", budget=12, out=tmp_path / "exact")
    noisy, exact = (Comparison.read([tmp_path / name]) for name in ("noisy", "exact"))
    (frame,) = noisy.frames.values()
    whole = noisy.recommended["random"]
    pd.testing.assert_frame_equal(
        recommended_so_far(frame[frame["step"] <= 15], noisy.cards), whole.loc[:, :15], check_freq=False
    )
    assert noisy.judged is noisy.recommended
    assert exact.recommended == {}
    assert exact.judged is exact.best
    summary = noisy.summary([25], target=70.0)["methods"]["random"]
    assert summary["recommended"][0]["mean"] == pytest.approx(whole[25].mean())


def test_long_runs_choose_anew_at_every_tenth_evaluation_and_at_the_last():
    cards = sorted(load_space("g1").sample(EVERY_STEP + 25, seed=4), key=lambda card: card.parameters)
    sizes = [card.parameters / 1e6 for card in cards]  # each new card is the best so far
    found = recommendations(runs(cards, sizes), table(cards, sizes))
    assert found["step"].tolist() == list(range(1, len(cards) + 1))
    changed = found["step"][found["card_hash"].ne(found["card_hash"].shift())]
    assert set(changed[changed > EVERY_STEP]) <= {110, 120, 125}
    assert found["expected"].iloc[-1] > found["expected"].iloc[EVERY_STEP - 1]
