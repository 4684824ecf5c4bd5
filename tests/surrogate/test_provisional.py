import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from flexnas_bench import ModelCard, NotMeasuredError, OptionError, load_benchmark, load_space
from flexnas_bench.surrogate import Surrogate, leave_one_out


@pytest.fixture(scope="module")
def surrogate(bench):
    return bench.surrogate()


def test_a_predicted_score_says_so(bench):
    card = ModelCard.named("bert-tiny")
    result = bench.query(card, kind="surrogate")
    assert (result.origin, result.n, result.metric, result.card_hash) == ("predicted", 0, "mean", card.hash)
    assert 60 < result.value < 75
    assert result.std > 0
    assert result.cost_assumed
    assert bench.sources[result.source]["citation"].startswith("A. Serianni")
    assert bench.query(card, kind="auto") == result
    assert bench.query(card, kind="auto", seed=2) == bench.query(card, kind="surrogate", seed=2) != result
    for same in (card.hash, card.to_dict(), card.to_json(), "bert-tiny"):
        assert bench.query(same, kind="surrogate") == result


def test_a_trained_score_comes_first(bench):
    best = bench.best()
    assert bench.query(best.card_hash, kind="auto") == best
    assert bench.query(best.card_hash, kind="surrogate").value < best.value  # of the luckiest card


def test_it_predicts_cards_that_it_was_not_fitted_to(bench, pool, surrogate):
    rng = np.random.default_rng(0)
    known = rng.permutation(pool.size)[:350]
    cards = [pool[int(i)] for i in known]
    fitted = Surrogate(cards, bench.query_many(cards), [math.nan] * 350, 0.6)
    new = [card for card in pool if card not in set(cards)]
    mean, std = fitted.predict(new)
    truth = bench.query_many(new)
    assert kendalltau(mean, truth).statistic > 0.7
    assert 0.8 < np.mean(np.abs(truth - mean) < 1.645 * std) <= 1
    assert math.isnan(fitted.cost_seconds(new[0]))
    costs = np.array([surrogate.cost_seconds(card) for card in new[:50]])
    assert kendalltau(costs, [bench.query(card).cost_seconds for card in new[:50]]).statistic > 0.7


def test_draws_have_the_noise_of_repeated_trainings(bench, surrogate):
    card = ModelCard.named("bert-mini")
    frame = bench.to_frame("glue8", "electra-owt-100k")
    variances = frame.groupby("card_hash")["value"].var().dropna()
    assert len(variances) == 9
    assert surrogate.noise_std == pytest.approx(math.sqrt(variances.mean()))
    draws = np.array([bench.query(card, kind="surrogate", seed=seed).value for seed in range(400)])
    mean = bench.query(card, kind="surrogate").value
    assert abs(draws.mean() - mean) < 4 * surrogate.noise_std / 20
    assert draws.std() == pytest.approx(surrogate.noise_std, rel=0.15)
    assert bench.query(card, kind="surrogate", seed=7).value == draws[7]
    assert bench.query(ModelCard.named("bert-tiny"), kind="surrogate", seed=7).value != draws[7]


def test_the_expected_value_of_a_reading_lies_between_it_and_what_is_predicted_without_it(bench, pool):
    readings = bench.query_many(pool)
    surrogate = Surrogate(list(pool), readings, [math.nan] * pool.size, bench.surrogate().noise_std)
    without = leave_one_out(surrogate._scores, readings)
    expected = np.array([surrogate.expected(card) for card in pool])
    share = (readings - expected) / (readings - without)
    assert ((share >= -1e-4) & (share <= 1 + 1e-4)).all()
    order = np.argsort(readings)
    assert (
        share[order[-50:]].mean() > 2 * share[order[:200]].mean()
    )  # where cards differ by little more than noise, it shrinks more
    card = load_space("g2").sample(1, seed=3)[0]
    assert surrogate.expected(card) == surrogate.predict([card])[0][0]


def test_no_prediction_without_grounds(bench):
    with pytest.raises(NotMeasuredError, match="no predicted glue8: space g3 has no cards of 24 layers"):
        bench.query("flexibert-large", kind="surrogate")
    with pytest.raises(NotMeasuredError, match="predictions need 100 scored cards of space g3; there are 1"):
        bench.query("bert-tiny", "glue", "flexibert-2021-early", kind="surrogate")
    with pytest.raises(NotMeasuredError, match="the tables have"):
        bench.query("flexibert-large", "glue", "flexibert-2021-early", kind="auto")
    quiet = Surrogate(list(load_space("pool")), bench.query_many(load_space("pool")), [1.0] * 491, math.nan)
    with pytest.raises(NotMeasuredError, match="no training was repeated"):
        quiet.draw(ModelCard.named("bert-tiny"), 0)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "a"])
def test_seeds_that_are_none(bench, seed):
    with pytest.raises(OptionError, match="seed: "):
        bench.query("bert-tiny", kind="surrogate", seed=seed)


@pytest.mark.parametrize("settings", [{"replicate": 0}, {"init": "ab" * 32}])
def test_settings_that_no_prediction_has(bench, settings):
    with pytest.raises(OptionError, match="kind surrogate"):
        bench.query("bert-tiny", kind="surrogate", **settings)
    with pytest.raises(OptionError, match="seed draws a run"):
        bench.query("bert-tiny", seed=3)


def test_the_same_tables_give_the_same_predictions(surrogate):
    again = load_benchmark(store=None).surrogate()
    assert again.digest == surrogate.digest
    cards = load_space("g3").sample(20, seed=1)
    np.testing.assert_array_equal(again.predict(cards), surrogate.predict(cards))
    alone = np.array([surrogate.predict([card])[0][0] for card in cards])
    np.testing.assert_array_equal(alone, surrogate.predict(cards)[0])


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_number_of_cores_does_not_matter(surrogate, threads):
    program = (
        "from flexnas_bench import load_benchmark, load_space; "
        "print(load_benchmark().surrogate().predict(load_space('g1').sample(300))[0].tolist())"
    )
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == surrogate.predict(load_space("g1").sample(300))[0].tolist()


def test_leaving_one_out_is_fitting_without_it():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 5)), rng.normal(70, 3, size=40)
    kernel = ConstantKernel(1.44) * Matern(1.7, nu=0.5) + WhiteKernel(0.16)
    process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True).fit(x, y)
    for i in (0, 17, 39):
        others = np.arange(40) != i
        weights = np.linalg.solve(kernel(x[others]), y[others] - y.mean())
        by_hand = y.mean() + kernel(x[[i]], x[others]) @ weights
        assert leave_one_out(process, y)[i] == pytest.approx(by_hand[0])


def test_noise_is_drawn_afresh_for_another_task(bench):
    gaps = []
    for task in ("glue8", "rte"):
        drawn, mean = (bench.query("bert-mini", task, kind="surrogate", seed=seed).value for seed in (3, None))
        gaps.append((drawn - mean) / bench.surrogate(task).noise_std)
    assert abs(gaps[0] - gaps[1]) > 1e-3


def test_what_was_trained_more_often_is_shrunk_less(bench, pool):
    readings = bench.query_many(pool)
    once, often = (
        Surrogate(list(pool), readings, [math.nan] * pool.size, 0.6, trainings=[n] * pool.size) for n in (1, 10)
    )
    gaps = [np.abs(readings - [one.expected(card) for card in pool]).mean() for one in (once, often)]
    assert gaps[1] < gaps[0] / 3
