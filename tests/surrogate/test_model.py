import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import kendalltau, kstest

from flexnas_bench import ModelCard, NotInSpaceError, NotMeasuredError, OptionError, load_benchmark, load_space
from flexnas_bench.predictors.process import ProcessSettings, RegionalProcess
from flexnas_bench.surrogate import Mixture, Surrogate, Trained
from flexnas_bench.surrogate.fitted import Fitted, FittedModel
from flexnas_bench.surrogate.model import facts_digest, training_noises

SETTINGS = ProcessSettings(length=2.0, variance=0.7, noises={2: 0.08, 4: 0.03})


def fit(trained, **more):
    """A surrogate of given hyperparameters, which takes no time."""
    known = {facts_digest(trained): FittedModel("", "", Fitted(SETTINGS, SETTINGS))}
    return Surrogate(trained, fitted=known, **more)


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
    assert result.in_support
    assert bench.sources[result.source]["citation"].startswith("A. Serianni")
    assert bench.query(card, kind="auto") == result
    assert bench.query(card, kind="auto", seed=2) == bench.query(card, kind="surrogate", seed=2) != result
    for same in (card.hash, card.to_dict(), card.to_json(), "bert-tiny"):
        assert bench.query(same, kind="surrogate") == result


def test_a_trained_score_comes_first(bench):
    best = bench.best()
    assert bench.query(best.card_hash, kind="auto") == best
    assert bench.query(best.card_hash, kind="surrogate").value < best.value  # of the luckiest card


def test_it_predicts_cards_that_it_was_not_fitted_to(bench):
    trained = bench.trained()
    order = np.random.default_rng(0).permutation(len(trained))
    known, new = ([trained[i] for i in part] for part in (order[:350], order[350:]))
    fitted = Surrogate(known)
    found, truth = fitted.predict([t.card for t in new]), np.array([(*t.scores, *t.failed_scores)[0] for t in new])
    assert kendalltau(found.mean, truth).statistic > 0.75
    quantiles = fitted.distribution([t.card for t in new]).cdf(truth)
    assert np.mean(np.abs(quantiles - 0.5) < 0.4) == pytest.approx(0.8, abs=0.1)
    costs = fitted.cost_seconds([t.card for t in new]) / [t.cost_seconds for t in new]
    assert np.median(np.abs(costs - 1)) < 0.04


@pytest.mark.parametrize("name", ["bert-tiny", "bert-mini"])
def test_draws_are_distributed_as_the_prediction_says_without_what_more_trainings_would_tell(surrogate, name):
    card = ModelCard.named(name)
    draws = np.array([surrogate.draw(card, seed) for seed in range(3_000)])
    found, about = surrogate.predict([card]), surrogate.distribution([card])
    noise = surrogate.noise[card.num_layers]
    fine = draws > about.mean[0] - about.shortfall / 2
    assert np.mean(~fine) == pytest.approx(found.failure_probability[0], abs=0.015)
    assert kstest(draws[fine], "norm", (about.mean[0], noise)).pvalue > 0.01
    assert draws.mean() == pytest.approx(found.mean[0], abs=4 * found.aleatoric_std[0] / math.sqrt(3_000))
    assert draws.std() == pytest.approx(found.aleatoric_std[0], rel=0.1)
    assert surrogate.draw(card, 7) == draws[7] != surrogate.draw(ModelCard.named("fnet-mini"), 7)


def test_a_mixture_is_a_distribution():
    mixture = Mixture(np.array([70.0]), np.array([0.8]), np.array([0.07]), 9.0, 2.0)
    grid = np.linspace(40, 90, 20_001)
    density = np.exp([mixture.log_density(score)[0] for score in grid[:, None]])
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    assert trapezoid(density * grid, grid) == pytest.approx(70 - 0.07 * 9, abs=1e-4)
    below = grid <= 68.0
    assert mixture.cdf(np.array([68.0]))[0] == pytest.approx(trapezoid(density[below], grid[below]), abs=1e-4)
    never = Mixture(np.array([70.0]), np.array([0.8]), np.array([0.0]), 0.0, 0.0)
    assert never.log_density(np.array([70.0]))[0] == pytest.approx(-math.log(0.8 * math.sqrt(2 * math.pi)))


def test_what_is_expected_of_a_trained_card_is_the_process_that_knows_it_too(bench):
    """Without repeats the share of a reading that counts makes what is predicted with it of what is without."""
    trained = [t for t in bench.trained() if t.card.num_layers == 4]
    model = fit(trained)
    for t in trained[:20]:
        others = fit([other for other in trained if other is not t])
        assert model.expected(t.card) == pytest.approx(model.predict([t.card]).mean[0], abs=1e-5)
        assert model.held_out(t.card) == pytest.approx(others.predict([t.card]).mean[0], abs=0.02)  # another unit
    card = load_space("g2").sample(1, seed=3)[0]
    assert model.expected(card) == model.held_out(card) == model.predict([card]).mean[0]


def test_a_card_trained_more_often_is_shrunk_less(bench):
    trained = bench.trained()
    trained = [t for t in trained if t.card.num_layers == 2 and t.scores]
    often = [Trained(t.card, t.scores[:1] * 10) for t in trained]
    once = [Trained(t.card, t.scores[:1]) for t in trained]
    gaps = []
    for cards in (once, often):
        model = fit(cards)
        gaps.append(np.abs([t.fine - model.expected(t.card) for t in cards]).mean())
    assert gaps[1] < gaps[0] / 2


def test_a_reading_that_failed_counts_for_nothing(bench):
    trained = bench.trained()
    (i, *_) = (i for i, t in enumerate(trained) if t.failed_scores and not t.scores)
    without = fit([*trained[:i], *trained[i + 1 :]])
    with_it = fit(trained)
    card = trained[i].card
    assert with_it.expected(card) == pytest.approx(without.expected(card), abs=0.15)  # failures are a little rarer
    assert trained[i].failed_scores[0] < with_it.expected(card) - 4


def test_noise_is_read_from_repeats_where_there_are_enough(bench):
    trained = bench.trained()
    x = np.random.default_rng(0).normal(size=(300, 3))
    regions = np.repeat([2, 4, 6], 100)
    process = RegionalProcess(x, x[:, 0] + np.random.default_rng(1).normal(size=300), regions)
    left = {region: process.noise_std(region) for region in (2, 4, 6)}
    read = training_noises({2: (0.09, 9), 4: (0.09, 4), 6: (25.0, 9)}, regions, process)
    assert read == {2: pytest.approx(0.3), 4: left[4], 6: left[6]}
    repeated = [t for t in trained if len(t.scores) > 1]
    variance = np.mean([np.var(t.scores, ddof=1) for t in repeated])
    assert {t.card.num_layers for t in repeated} == {2}
    assert bench.surrogate().noise[2] == pytest.approx(math.sqrt(variance))


def test_no_prediction_without_grounds(bench):
    with pytest.raises(NotMeasuredError, match="no predicted glue8: space g3 has no cards of 24 layers"):
        bench.query("flexibert-large", kind="surrogate")
    with pytest.raises(NotMeasuredError, match="predictions need 50 scored cards; there are "):
        bench.query("bert-tiny", "glue", "flexibert-2021-early", kind="surrogate")
    with pytest.raises(NotMeasuredError, match="the tables have"):
        bench.query("flexibert-large", "glue", "flexibert-2021-early", kind="auto")


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
    found = surrogate.predict(cards)
    alone = [surrogate.predict([card]) for card in cards]
    for column in ("mean", "epistemic_std", "aleatoric_std", "failure_probability", "in_support"):
        np.testing.assert_array_equal([getattr(one, column)[0] for one in alone], getattr(found, column))


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_number_of_cores_does_not_matter(surrogate, threads):
    program = (
        "from flexnas_bench import load_benchmark, load_space; import sys; "
        "print(load_benchmark().surrogate().predict(load_space('g1').sample(300)).mean.tolist()); "
        "assert not {'torch', 'sklearn', 'pandas', 'networkx'} & set(sys.modules)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == surrogate.predict(load_space("g1").sample(300)).mean.tolist()


def test_noise_is_drawn_afresh_for_another_task(bench):
    card = ModelCard.named("bert-mini")
    gaps = []
    for task in ("glue8", "rte"):
        model = bench.surrogate(task)
        gaps.append((model.draw(card, 3) - model.distribution([card]).mean[0]) / model.noise[4])
    assert abs(gaps[0] - gaps[1]) > 1e-3


def test_cards_of_another_space_are_described_by_their_own_values():
    space = load_space("docs/tiny_to_large.toml")
    deep = [card for card in space.sample(3_000, seed=0) if card.num_layers > 2][:80]
    trained = [Trained(card, (60.0 + 1e-6 * card.parameters,)) for card in deep]
    model = Surrogate(trained)
    assert model.space.name != "g3"
    assert np.abs(model.predict(deep).mean - [t.fine for t in trained]).max() < 1
    assert np.isnan(model.cost_seconds(deep)).all()
    with pytest.raises(NotInSpaceError, match="no cards of 2 layers"):
        model.predict([ModelCard.named("bert-tiny")])


def test_a_model_of_ones_own_answers_in_its_place(bench, surrogate):
    class Flat:
        space, source, digest = surrogate.space, surrogate.source, "flat"

        def predict(self, cards):
            found = surrogate.predict(cards)
            return type(found)(np.full(len(cards), 70.0), *list(vars(found).values())[1:])

        def draw(self, card, seed):
            return 70.0 + seed

        def cost_seconds(self, cards):
            return np.full(len(cards), np.nan)

        def expected(self, card):
            return 70.0

        def lacking(self, card):
            return []

    own = bench.with_surrogate(Flat())
    assert own.query("bert-tiny", kind="surrogate").value == 70.0
    assert own.query("bert-tiny", kind="surrogate", seed=2).value == 72.0
    assert bench.query("bert-tiny", kind="surrogate").value != 70.0
    assert own.query("bert-tiny", "rte", kind="surrogate") == bench.query("bert-tiny", "rte", kind="surrogate")
