import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import kendalltau, norm, spearmanr

from flexnas_bench import load_space
from flexnas_bench.surrogate import Surrogate, Trained, judging
from flexnas_bench.surrogate.judging import figures, judge, noise_ceiling, noise_samples, paired, regret, top_overlap
from flexnas_bench.surrogate.validation import HeldOut, cross_validate


@pytest.fixture(scope="module")
def held():
    """Predictions of known error: 500 readings of 400 cards with noise 1."""
    rng = np.random.default_rng(0)
    cards = np.concatenate([np.arange(400), np.arange(100)])
    mean = rng.normal(70, 3, 400)[cards]
    readings = mean + rng.normal(size=500)
    return HeldOut(cards, readings, mean, norm.cdf(readings - mean), norm.logpdf(readings - mean), np.full(500, 1.1))


def test_figures_are_those_of_their_definitions(held):
    found = figures(held)
    error = held.readings - held.mean
    assert found["R2"] == pytest.approx(1 - (error**2).sum() / ((held.readings - held.readings.mean()) ** 2).sum())
    assert found["Kendall tau"] == pytest.approx(kendalltau(held.mean, held.readings).statistic)
    rounded = (np.round(values, 1) for values in (held.mean, held.readings))
    assert found["sparse Kendall tau"] == pytest.approx(kendalltau(*rounded).statistic)
    assert found["Spearman"] == pytest.approx(spearmanr(held.mean, held.readings).statistic)
    assert found["mean absolute error"] == pytest.approx(np.abs(error).mean())
    assert found["bias"] == pytest.approx(-error.mean())
    assert found["NLL"] == pytest.approx(np.mean(error**2) / 2 + math.log(2 * math.pi) / 2)
    for share, width in ((50, 0.6745), (80, 1.2816), (95, 1.96)):
        assert found[f"inside {share} %"] == pytest.approx(np.mean(np.abs(error) < width))
    assert found["error of costs"] == pytest.approx(0.1)


def test_the_top_and_its_regret_by_hand():
    readings = np.arange(20.0)
    mean = readings.copy()
    mean[[18, 3]] = mean[[3, 18]]
    assert top_overlap(mean, readings) == 0.5  # of 19 and 18 predictions have 19 and 3
    assert regret(mean, readings) == 0
    assert regret(-mean, readings) == 19
    assert regret(mean, np.where(readings == 19, 10, readings)) == 8


def test_intervals_hold_what_is_true_and_do_not_shrink_where_readings_are_only_repeated(held):
    """Against the spread of the figure over fresh samples of the same kind."""
    rng = np.random.default_rng(1)
    single = held.where(np.arange(400))
    fresh = []
    for _ in range(200):
        mean = rng.normal(70, 3, 400)
        fresh.append(kendalltau(mean, mean + rng.normal(size=400)).statistic)
    samples = (single, single.where(np.tile(np.arange(400), 4)))
    found, repeated = (judge([some], resamples=200)["Kendall tau"] for some in samples)
    assert found.low < np.mean(fresh) < found.high
    assert found.high - found.low == pytest.approx(np.ptp(np.quantile(fresh, [0.05, 0.95])), rel=0.25)
    assert repeated.high - repeated.low == pytest.approx(found.high - found.low, rel=0.1)
    assert math.isnan(judge([held], resamples=0)["R2"].low)


def test_differences_of_models_are_of_the_same_cards(held, monkeypatch):
    monkeypatch.setattr(judging, "RESAMPLES", 80)
    worse = dataclasses.replace(held, mean=held.mean + np.random.default_rng(2).normal(size=500))
    found = paired([held], [worse])
    assert found["Kendall tau"].value == pytest.approx(figures(held)["Kendall tau"] - figures(worse)["Kendall tau"])
    assert 0 < found["Kendall tau"].low < found["Kendall tau"].value < found["Kendall tau"].high
    assert paired([held], [held])["R2"] == (0, 0, 0)


def test_readings_without_a_score_do_not_count(held):
    others = (np.append(getattr(held, name), 70.0) for name in ("mean", "quantile", "log_density", "cost_ratio"))
    missing = HeldOut(np.append(held.cards, 400), np.append(held.readings, math.nan), *others)
    for name, figure in judge([held], resamples=0).items():
        assert judge([missing], resamples=0)[name].value == pytest.approx(figure.value)


def test_intervals_of_the_surrogate_cover_what_they_say_on_planted_scores():
    rng = np.random.default_rng(0)
    pool = load_space("pool")
    trained = []
    for card in pool.sample(320, seed=1):
        shallow = card.num_layers == 2
        truth = 50 + 4 * math.log(card.parameters / 1e7) + sum(layer.operation == "SA" for layer in card.layers)
        score = truth + (0.8 if shallow else 0.3) * rng.standard_normal()
        failed = shallow and rng.random() < 0.1
        trained.append(Trained(card, () if failed else (score,), (score - 12,) if failed else ()))
    found = judge(cross_validate(trained, folds=5, repeats=1), resamples=0)
    for share in (50, 80, 95):
        assert found[f"inside {share} %"].value == pytest.approx(share / 100, abs=0.06)
    model = Surrogate(trained)
    assert model.noise[2] == pytest.approx(0.8, rel=0.2)
    assert model.noise[4] == pytest.approx(0.3, rel=0.35)
    assert model.failures.shortfall == pytest.approx(12, abs=0.6)
    assert model.failures.probabilities[2] == pytest.approx(0.1, abs=0.05)
    assert model.failures.probabilities[4] < 0.01


def test_the_ceiling_is_what_the_truth_would_reach():
    rng = np.random.default_rng(3)
    cards = load_space("pool").sample(300, seed=2)
    truth = 60 + 3 * rng.standard_normal(300)
    trained = [Trained(card, (score,)) for card, score in zip(cards, truth + rng.standard_normal(300), strict=True)]
    model = Surrogate(trained)
    found = noise_ceiling(model, trained, np.ones(50))
    again = [truth + rng.standard_normal(300) for _ in range(50)]
    reached = np.mean([kendalltau(truth, readings).statistic for readings in again])
    assert found["Kendall tau"].value == pytest.approx(reached, abs=0.02)
    assert found["R2"].value == pytest.approx(0.9, abs=0.02)
    assert noise_ceiling(model, trained, np.full(5, 50.0)) == {}  # more noise than readings spread is not possible
    some = noise_ceiling(model, trained, np.array([1.0, 50.0]))
    assert some["R2"].value == pytest.approx(0.9, abs=0.02)


def test_noise_is_read_from_repeats():
    rng = np.random.default_rng(0)
    cards = load_space("pool").sample(200, seed=0)
    trained = [Trained(card, tuple(rng.normal(70, 0.5, 2))) for card in cards]
    low, middle, high = np.quantile(noise_samples(trained), [0.05, 0.5, 0.95])
    assert low < 0.5 < high
    assert middle == pytest.approx(0.5, rel=0.1)
    assert len(noise_samples(trained[:9])) > 0
    few = np.quantile(noise_samples(trained[:9]), [0.05, 0.95])
    assert np.ptp(few) > 2 * (high - low)
    assert len(noise_samples([Trained(cards[0], (1.0,))])) == 0
