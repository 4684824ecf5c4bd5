import math

import numpy as np
import pytest
import torch
from flexnas_baselines.bananas import Bananas, Ensemble, thompson
from scipy.stats import kendalltau
from torch import nn

from flexnas_bench import DesignSpace, OptionError, load_space, make_optimizer


@pytest.fixture(scope="module")
def g1():
    return load_space("g1")


def planted(card):
    """Smooth, but not linear in the features: what a layer is worth grows with its depth."""
    return sum((1 + j / 4) * worth(layer) for j, layer in enumerate(card.layers))


def worth(layer):
    operation = 2 * ["LT", "DSC", "SA"].index(layer.operation) + (layer.parameter in ("DCT", "WMA", 9))
    return operation + math.sqrt(layer.hidden) - layer.heads + len(layer.feed_forward) + layer.feed_forward[0] / 1024


def told(space, n, **options):
    """BANANAS after `n` random cards of a planted landscape."""
    optimizer = make_optimizer(Bananas, space, seed=3, initial=n, **options)
    cards = optimizer.ask(n)
    optimizer.tell(cards, [planted(card) for card in cards])
    return optimizer


def differing(a, b):
    """Number of decisions of one card that the other does not share."""
    return sum(b.get(name) != option for name, option in a.items())


def test_networks_side_by_side_predict_as_networks_one_by_one():
    torch.manual_seed(1)
    ensemble = Ensemble(7, networks=5, layers=10, width=20)
    ensemble.biases = [torch.randn_like(bias) for bias in ensemble.biases]
    x = torch.randn(30, 7)
    for k, predictions in enumerate(ensemble(x)):
        parts = []
        for weight, bias in zip(ensemble.weights, ensemble.biases, strict=True):
            linear = nn.Linear(*weight.shape[1:])
            linear.weight.data, linear.bias.data = weight[k].T, bias[k, 0]
            parts += [linear, nn.ReLU()]
        assert len(parts) == 22  # ten hidden layers and the last, without its ReLU
        torch.testing.assert_close(predictions, nn.Sequential(*parts[:-1])(x).squeeze(-1))
    assert len(ensemble(x).mean(dim=1).unique()) == 5


def test_every_network_is_fitted_as_if_it_were_alone():
    torch.manual_seed(2)
    together = Ensemble(7, networks=3, layers=2, width=8)
    alone = Ensemble(7, networks=1, layers=2, width=8)
    alone.weights = [weight[1:2].clone() for weight in together.weights]
    x, y = torch.randn(20, 7), torch.randn(20)
    for ensemble in (together, alone):
        ensemble.fit(x, y, steps=30, rate=0.01)
    np.testing.assert_allclose(alone.predict(x)[0], together.predict(x)[1], atol=1e-4)
    assert np.abs(alone.predict(x)[0] - together.predict(x)[0]).mean() > 0.01


def test_the_ensemble_ranks_cards_it_has_not_seen_and_knows_that_it_has_not(g1):
    optimizer = told(g1, 60)
    torch.manual_seed(3)
    ensemble = optimizer.fit()
    known = ensemble.predict(optimizer._features(optimizer.indices))
    far = [g1.index(card) for card in g1.sample(500, seed=5) if g1.index(card) not in optimizer.seen]
    unknown = ensemble.predict(optimizer._features(far))
    assert kendalltau(unknown.mean(axis=0), [planted(g1[i]) for i in far]).statistic > 0.6
    assert (
        np.abs(known.mean(axis=0) - (optimizer.values - np.mean(optimizer.values)) / np.std(optimizer.values)).max() < 1
    )
    assert unknown.std(axis=0).mean() > 2 * known.std(axis=0).mean()


def test_a_value_is_drawn_with_mean_and_spread_of_the_ensemble():
    predictions = np.array([[0.0, 5.0, 2.0], [1.0, 5.0, -2.0], [5.0, 5.0, 6.0]])
    rng = np.random.default_rng(4)
    draws = np.stack([thompson(predictions, rng) for _ in range(20_000)])
    np.testing.assert_allclose(draws.mean(axis=0), [2, 5, 2], atol=0.1)
    np.testing.assert_allclose(draws.std(axis=0), [math.sqrt(14 / 3), 0, math.sqrt(32 / 3)], rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(draws[:, 0], draws[:, 2])[0, 1], 0, atol=0.03)  # independently


@pytest.mark.parametrize("mutations", [1, 3])
def test_candidates_are_mutants_of_the_best(g1, mutations):
    optimizer = told(g1, 60, mutations=mutations)
    best = sorted(range(60), key=optimizer.values.__getitem__, reverse=True)[:10]
    parents = [g1.decisions.of(g1[optimizer.indices[i]]) for i in best]
    mutants = optimizer.mutants(np.random.default_rng(1))
    assert len(mutants) == len(set(mutants)) > 60
    assert not optimizer.seen & set(mutants)
    distances = np.array([[differing(g1.decisions.of(g1[i]), parent) for parent in parents] for i in mutants])
    nearest = distances.min(axis=1)
    assert nearest.max() <= 3 + mutations  # a deeper mutant has another stack: depth, and three decisions more
    assert (np.median(nearest) == 1) == (mutations == 1)
    assert len({int(row.argmin()) for row in distances}) == 10  # each of the ten has mutants


def test_the_highest_values_drawn_are_proposed(pool):
    optimizer = told(pool, 40)
    rng = np.random.default_rng(7)
    mutants = optimizer.mutants(rng)
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        predictions = optimizer.fit().predict(optimizer._features(mutants))
    values = thompson(predictions, rng)
    expected = [mutants[i] for i in np.argsort(-values)[:4]]
    assert optimizer.propose(4, np.random.default_rng(7)) == expected


def test_it_climbs_a_planted_landscape(g1):
    values = np.array([planted(card) for card in g1])
    ranks = []
    for name, seed in ((Bananas, 0), ("random", 0), ("random", 1)):
        optimizer = make_optimizer(name, g1, seed=seed)
        for _ in range(7):  # in tens, as its authors ask
            cards = optimizer.ask(10)
            optimizer.tell(cards, [planted(card) for card in cards])
        ranks.append(1 + (values > max(optimizer.values)).sum())
    assert ranks[0] < min(ranks[1:]) / 5


def test_what_torch_is_set_to_neither_matters_nor_changes(pool):
    optimizer = told(pool, 12)
    threads, proposals = torch.get_num_threads(), []
    for seed, number in ((1, 1), (2, 2)):
        torch.manual_seed(seed)
        torch.set_num_threads(number)
        state = torch.get_rng_state()
        proposals.append(optimizer.propose(3, np.random.default_rng(5)))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == number
    torch.set_num_threads(threads)
    assert proposals[0] == proposals[1] != optimizer.propose(3, np.random.default_rng(6))


def test_failed_evaluations_teach_nothing(pool):
    plain, failing = told(pool, 12), told(pool, 12)
    lost = failing.ask(3)
    failing.tell(lost, [math.nan] * 3)
    fitted = []
    for optimizer in (plain, failing):
        torch.manual_seed(8)
        fitted.append(optimizer.fit().predict(plain._features(range(50))))
    np.testing.assert_array_equal(*fitted)
    assert not {pool.index(card) for card in lost} & set(failing.mutants(np.random.default_rng(1)))
    nothing = make_optimizer(Bananas, pool, seed=1, initial=2)
    nothing.tell(nothing.ask(2), [math.nan, math.nan])
    drawn = make_optimizer("random", pool, seed=1, initial=2)
    drawn.ask(2)
    assert nothing.ask(3) == drawn.ask(3)


@pytest.mark.parametrize("values", [[70.0], [70.1] * 6, [math.nan, 70.0, math.nan]])
def test_one_success_and_equal_values_do_no_harm(pool, values):
    optimizer = make_optimizer(Bananas, pool, initial=len(values))
    optimizer.tell(optimizer.ask(len(values)), values)
    torch.manual_seed(1)
    assert np.isfinite(optimizer.fit().predict(optimizer._features(range(pool.size)))).all()
    assert len(set(optimizer.ask(5))) == 5


def test_the_smallest_space_is_used_up(g1):
    space = DesignSpace.from_cards("two", g1.sample(2))
    optimizer = make_optimizer(Bananas, space, initial=1)
    (first,) = optimizer.ask()
    optimizer.tell([first], [1.0])
    assert {first, *optimizer.ask()} == set(space)


def test_it_works_in_the_largest_space():
    space = load_space("g3")
    optimizer = told(space, 30)
    batch = optimizer.ask(10)
    assert len(set(batch)) == 10
    usual = np.quantile([planted(card) for card in space.sample(200, seed=9)], 0.75)
    assert np.mean([planted(card) for card in batch]) > usual  # as the mean of ten random cards hardly ever is


@pytest.mark.parametrize(
    "option", ["networks", "layers", "width", "steps", "rate", "candidates", "parents", "mutations"]
)
def test_options_that_make_no_sense(pool, option):
    with pytest.raises(OptionError, match="must be positive"):
        make_optimizer(Bananas, pool, **{option: 0})
