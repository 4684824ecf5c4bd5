import math

import numpy as np
import pytest

from baselines.reinforce import Policy, Reinforce, advantage
from flexnas_bench import DesignSpace, OptionError, load_space, make_optimizer


def warmed(space, seed=0):
    """A policy of which no two cards are equally likely."""
    policy = Policy(space)
    policy.weights[:] = np.random.default_rng(seed).normal(size=policy.weights.shape)
    return policy


def planted(space, seed):
    """A card's decisions, and the number of them that another card shares."""
    target = space.decisions.of(space[space.sample_index(np.random.default_rng(10_000 + seed))])
    return target, lambda card: sum(target.get(name) == value for name, value in space.decisions.of(card).items())


def play(optimizer, value, steps):
    """Asks and tells one by one; returns the values in order."""
    for _ in range(steps):
        (card,) = optimizer.ask()
        optimizer.tell([card], [value(card)])
    return optimizer.values


@pytest.mark.parametrize("name", ["homogeneous", "g1"])
def test_the_probabilities_of_all_cards_sum_to_one(name):
    space = load_space(name)
    policy = warmed(space)
    assert sum(math.exp(policy.log_probability(space.decisions.of(card))) for card in space) == pytest.approx(1)


def test_at_first_all_options_are_equally_likely():
    space = load_space("g3")
    for card in space.sample(20):
        values = space.decisions.of(card)
        uniform = sum(math.log(len(space.decisions.options[name])) for name in values)
        assert Policy(space).log_probability(values) == pytest.approx(-uniform)
        assert Policy(space).entropy(values) == pytest.approx(uniform)


def test_cards_are_drawn_as_often_as_their_probability_says():
    space = load_space("homogeneous")
    policy = warmed(space)
    draws, rng = 8_000, np.random.default_rng(5)
    counts = np.zeros(space.size)
    for _ in range(draws):
        counts[space.index(space.decisions.card(policy.sample(rng)))] += 1
    expected = draws * np.exp([policy.log_probability(space.decisions.of(card)) for card in space])
    often = expected > 5
    chi_square = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert often.sum() > 50
    assert abs(chi_square - often.sum()) < 4 * math.sqrt(2 * often.sum())


def test_a_draw_has_the_decisions_that_its_depth_has_and_no_others():
    space = load_space("g3")
    rng = np.random.default_rng(2)
    draws = [warmed(space).sample(rng) for _ in range(50)]
    assert {len(values) for values in draws} == {7, 13}
    for values in draws:
        assert space.decisions.of(space.decisions.card(values)) == values


@pytest.mark.parametrize(("gain", "entropy_weight"), [(1.0, 0.0), (0.0, 1.0), (-1.3, 0.4)])
@pytest.mark.parametrize("shallow", [True, False])
def test_the_gradient_is_that_of_finite_differences(gain, entropy_weight, shallow):
    space = load_space("g1")
    policy = warmed(space)
    values = space.decisions.of(space[0 if shallow else -1])
    assert len(values) == (4 if shallow else 7)
    found = policy.gradient(values, gain, entropy_weight)
    expected = np.zeros_like(found)
    step = 1e-5
    for place in np.ndindex(found.shape):
        sides = []
        for sign in (1, -1):
            policy.weights[place] += sign * step
            sides.append(gain * policy.log_probability(values) + entropy_weight * policy.entropy(values))
            policy.weights[place] -= sign * step
        expected[place] = (sides[0] - sides[1]) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_the_advantage_is_the_distance_from_a_moving_average_in_deviations():
    values, decay = [3.0, 1.0, 4.0, 1.5, 9.0], 0.9
    weights = [decay**age for age in range(5)]
    baseline = sum(w * v for w, v in zip(weights, values[-2::-1], strict=False)) / sum(weights[:4])
    spread = sum(w * (v - baseline) ** 2 for w, v in zip(weights, values[::-1], strict=True)) / sum(weights)
    assert advantage(values, decay) == pytest.approx((9 - baseline) / math.sqrt(spread))
    assert advantage([0.01 * v + 0.6 for v in values], decay) == pytest.approx(advantage(values, decay))


def test_the_advantage_stays_in_bounds():
    assert advantage([5.0], 0.9) == 0
    assert advantage([70.1] * 50, 0.9) == 0
    assert advantage([0.0] * 500 + [1e6], 0.9) == pytest.approx(1 / math.sqrt(0.1))
    assert advantage([1.0, 2.0, 3.0], 0.0) == pytest.approx(1)  # the value before is all that counts
    assert advantage([1.0, 2.0], 1.0) == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(("name", "ahead"), [("homogeneous", 0.5), ("g1", 1.0)])
def test_it_learns_a_planted_card(name, ahead):
    space = load_space(name)
    gains, likelier = [], []
    for seed in range(3):
        target, value = planted(space, seed)
        optimizer = make_optimizer(Reinforce, space, seed=seed)
        values = play(optimizer, value, 70)
        gains.append(np.mean(values[20:70]) - np.mean(values[:10]))
        likelier.append(optimizer.policy.log_probability(target) - Policy(space).log_probability(target))
    assert np.mean(gains) > ahead
    assert np.mean(likelier) > math.log(20)


def test_it_learns_from_cards_that_others_chose():
    space = load_space("g1")
    target, value = planted(space, 3)
    optimizer = make_optimizer(Reinforce, space, initial=0)
    cards = space.sample(60, seed=4)
    optimizer.tell(cards, [value(card) for card in cards])
    assert optimizer.policy.log_probability(target) > Policy(space).log_probability(target) + math.log(20)


def test_points_and_fractions_teach_the_same():
    space = load_space("g1")
    cards = space.sample(30, seed=4)
    learned = []
    for scale, shift in ((1, 0), (0.01, 0), (2, 60)):
        optimizer = make_optimizer(Reinforce, space)
        optimizer.tell(cards, [scale * card.parameters / 1e6 + shift for card in cards])
        learned.append(optimizer.policy.weights)
    np.testing.assert_allclose(learned[0], learned[1], atol=1e-10)
    np.testing.assert_allclose(learned[0], learned[2], atol=1e-10)
    assert np.abs(learned[0]).max() > 0.1


def test_entropy_keeps_the_policy_from_settling():
    space = load_space("g1")
    target, value = planted(space, 1)
    left = []
    for weight in (0.0, 0.3):
        optimizer = make_optimizer(Reinforce, space, seed=1, entropy_weight=weight)
        play(optimizer, value, 100)
        left.append(optimizer.policy.entropy(target))
    assert left[1] > left[0] + 1


def test_a_settled_policy_proposes_the_nearest_unseen_card():
    space = load_space("homogeneous")
    optimizer = make_optimizer(Reinforce, space, initial=0)
    values = space.decisions.of(space[50])
    optimizer.policy.weights += 1_000 * optimizer.policy.gradient(values, 1.0, 0.0)
    assert optimizer.ask() == [space[50]]
    (near,) = optimizer.ask()
    assert near in space.neighbors(space[50])


def test_a_history_told_again_gives_the_same_policy(pool):
    optimizer = make_optimizer(Reinforce, pool, seed=4)
    play(optimizer, lambda card: card.parameters, 25)
    again = make_optimizer(Reinforce, pool, seed=4)
    again.tell([pool[i] for i in optimizer.indices], optimizer.values)
    np.testing.assert_array_equal(again.policy.weights, optimizer.policy.weights)
    assert again.ask(3) == optimizer.ask(3)


def test_failures_and_equal_values_teach_nothing(pool):
    optimizer = make_optimizer(Reinforce, pool, entropy_weight=0.0)
    cards = pool.sample(6, seed=1)
    optimizer.tell(cards, [math.nan, 70.1, 70.1, math.nan, 70.1, math.nan])
    assert not optimizer.policy.weights.any()
    assert len(set(optimizer.ask(12))) == 12


def test_two_cards_are_enough():
    space = DesignSpace.from_cards("two", load_space("g1").sample(2, seed=3))
    assert set(play(make_optimizer(Reinforce, space, initial=1), lambda card: card.parameters, 2))
    one_option = load_space("g1").where("one", lambda card: card == space[0])
    assert make_optimizer(Reinforce, one_option, initial=0).ask() == [space[0]]


@pytest.mark.parametrize("name", ["pool", "g3"])
def test_it_finds_more_parameters_than_it_began_with(name):
    values = play(make_optimizer(Reinforce, name, seed=2), lambda card: card.parameters, 60)
    assert np.mean(values[40:]) > 1.3 * np.mean(values[:10])


def test_options_that_make_no_sense(pool):
    for options in ({"rate": 0.0}, {"decay": 1.1}, {"decay": -0.1}, {"entropy_weight": -1.0}, {"attempts": 0}):
        with pytest.raises(OptionError):
            make_optimizer(Reinforce, pool, **options)
