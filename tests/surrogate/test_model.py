import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import kendalltau, kstest

from flexnas_bench import (
    ModelCard,
    NotInSpaceError,
    NotMeasuredError,
    OptionError,
    Store,
    Training,
    load_benchmark,
    load_space,
)
from flexnas_bench.predictors.process import ProcessSettings
from flexnas_bench.surrogate import Mixture, Surrogate, Trained
from flexnas_bench.surrogate.fitted import Fitted, FittedModel
from flexnas_bench.surrogate.judging import judge
from flexnas_bench.surrogate.model import facts_digest, training_noises
from flexnas_bench.surrogate.validation import cross_validate

SETTINGS = ProcessSettings(length=2.0, variance=0.7, noises={2: 0.08, 4: 0.03})


def fit(trained, **more):
    """A surrogate of given hyperparameters, which takes no time."""
    known = {facts_digest(trained): FittedModel("", "", Fitted(SETTINGS, SETTINGS))}
    return Surrogate(trained, fitted=known, **more)


def fit_again(surrogate):
    """The same model from the same tables, nothing kept."""
    known = {surrogate.facts: FittedModel("", "", surrogate.fitted)}
    return Surrogate(load_benchmark().trained(), fitted=known)


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
    draws = np.array([surrogate.draw(card, seed) for seed in range(1_500)])
    found, about = surrogate.predict([card]), surrogate.distribution([card])
    noise = surrogate.noise[card.num_layers]
    fine = draws > about.mean[0] - about.shortfall / 2
    assert np.mean(~fine) == pytest.approx(found.failure_probability[0], abs=0.015)
    assert kstest(draws[fine], "norm", (about.mean[0], noise)).pvalue > 0.01
    assert draws.mean() == pytest.approx(found.mean[0], abs=4 * found.aleatoric_std[0] / math.sqrt(1_500))
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


def test_the_share_of_a_reading_that_counts_is_that_of_what_is_not_noise():
    """Cards of two layers trained one to four times: by hand, from what is predicted without each."""
    rng = np.random.default_rng(0)
    cards = [card for card in load_space("pool") if card.num_layers == 2][:150]
    effects, counts = 2 * rng.standard_normal(150), rng.integers(1, 5, 150)
    scores = [70 + effect + rng.standard_normal(n) for effect, n in zip(effects, counts, strict=True)]
    trained = [Trained(card, tuple(several.tolist())) for card, several in zip(cards, scores, strict=True)]
    model = Surrogate(trained)
    noise = model.noise[2]
    assert noise == pytest.approx(1, rel=0.15)
    shares = {n: [] for n in range(1, 5)}
    for t, n in zip(trained, counts, strict=True):
        without = model.held_out(t.card)
        shares[int(n)].append((model.expected(t.card) - without) / (t.fine - without))
    for n, found in shares.items():
        variance = np.median(found) / (1 - np.median(found)) * noise**2 / n  # of what readings tell of a card
        assert variance == pytest.approx(4, rel=0.35)
    assert np.median(shares[4]) > np.median(shares[1]) + 0.05


def test_a_reading_that_failed_counts_for_nothing(bench):
    trained = bench.trained()
    (i, *_) = (i for i, t in enumerate(trained) if t.failed_scores and not t.scores)
    without = fit([*trained[:i], *trained[i + 1 :]])
    with_it = fit(trained)
    card = trained[i].card
    assert with_it.expected(card) == pytest.approx(without.expected(card), abs=0.15)  # failures are a little rarer
    assert trained[i].failed_scores[0] < with_it.expected(card) - 4


def test_noise_is_read_from_repeats_where_there_are_enough(bench):
    left, trainings = {2: 1.0, 4: 0.8, 6: 0.5, 8: 0.5}, {2: 1.0, 4: 1.0, 6: 1.0, 8: 4.0}
    read = training_noises({2: (0.09, 9), 4: (0.09, 4), 6: (25.0, 9), 8: (0.81, 300)}, left, trainings)
    # few repeats do not count, nor do they where single trainings spread less; means of four have half of their noise
    assert read == {2: pytest.approx(0.3), 4: 0.8, 6: 0.5, 8: pytest.approx(0.9)}
    repeated = [t for t in bench.trained() if len(t.scores) > 1]
    variance = np.mean([np.var(t.scores, ddof=1) for t in repeated])
    assert {t.card.num_layers for t in repeated} == {2}
    assert bench.surrogate().noise[2] == pytest.approx(math.sqrt(variance))


def test_intervals_of_cards_trained_three_times_are_those_of_one_training(pool):
    rng = np.random.default_rng(5)
    trained = [
        Trained(card, tuple((60 + 4 * math.log(card.parameters / 1e7) + rng.standard_normal(3)).tolist()))
        for card in pool.sample(240, seed=3)
    ]
    found = judge(cross_validate(trained, folds=4, repeats=1), resamples=0)
    for share in (50, 80, 95):
        assert found[f"inside {share} %"].value == pytest.approx(share / 100, abs=0.05)


def test_failures_without_a_score_are_as_frequent_as_they_are(pool):
    cards = pool.sample(120, seed=1)
    model = fit([Trained(card, (70.0 + i % 7,), (math.nan,) * (i % 3 == 0)) for i, card in enumerate(cards)])
    found = model.predict(cards[:5])
    assert found.failure_probability == pytest.approx(np.full(5, 0.25), abs=0.05)
    assert model.failures.shortfall == 0
    draws = np.array([model.draw(cards[0], seed) for seed in range(500)])
    assert draws.std() == pytest.approx(found.aleatoric_std[0], rel=0.15)  # as uncertain as others


def test_a_score_of_ones_own_leaves_other_origins_alone(bench, tmp_path):
    best = bench.best()
    store = Store(tmp_path / "mine")
    store.append([Training(card=bench.card(best.card_hash), protocol=best.protocol, scores={"rte": 0.0}, seed=1)])
    (found,) = (t for t in load_benchmark(store=tmp_path / "mine").trained() if t.card.hash == best.card_hash)
    assert found.scores == (best.value,)


def test_too_many_cards_are_refused():
    cards = load_space("g2").sample(5_001, seed=0)
    with pytest.raises(NotMeasuredError, match="need 50 to 5,000 scored cards; there are 5,001"):
        Surrogate([Trained(card, (70.0,)) for card in cards])


def test_no_prediction_without_grounds(bench):
    with pytest.raises(NotMeasuredError, match="no predicted glue8: space g3 has no cards of 24 layers"):
        bench.query("flexibert-large", kind="surrogate")
    with pytest.raises(NotMeasuredError, match="predictions need 50 to 5,000 scored cards; there are "):
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
    again = fit_again(surrogate)
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
    curve = "electra-owt-1m-step-500k"
    bench.query("bert-tiny", protocol=curve, kind="surrogate")  # whose line is through the other's predictions
    with pytest.raises(NotMeasuredError, match="from the surrogate of electra-owt-100k alone"):
        bench.with_surrogate(Flat()).query("bert-tiny", protocol=curve, kind="surrogate")
    assert own.query("bert-tiny", "rte", kind="surrogate") == bench.query("bert-tiny", "rte", kind="surrogate")
