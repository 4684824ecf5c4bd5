import numpy as np
import pytest
from flexnas_baselines.evolution import Evolution
from flexnas_baselines.random_search import RandomSearch

from flexnas_bench import OptionError, load_space, make_optimizer
from tests.baselines.planted import mean_best


def told(space, values, **options):
    """An optimizer that was told random cards with these values, and the cards."""
    optimizer = make_optimizer(Evolution, space, seed=1, initial=0, **options)
    cards = space.sample(len(values), seed=3)
    optimizer.tell(cards, values)
    return optimizer, cards


def children(optimizer, draws=60):
    return {optimizer.space[optimizer.propose(1, np.random.default_rng(seed))[0]] for seed in range(draws)}


def test_the_best_of_the_population_has_the_children():
    g2 = load_space("g2")
    optimizer, cards = told(g2, [*range(9), 3.5], population=10, sample=60)
    assert children(optimizer) <= set(g2.neighbors(cards[8]))


def test_the_oldest_die_even_if_they_are_the_best():
    g2 = load_space("g2")
    optimizer, cards = told(g2, [99.0, *map(float, range(10))], population=10, sample=60)
    assert children(optimizer) <= set(g2.neighbors(cards[10]))


def test_small_samples_let_others_have_children_too():
    g2 = load_space("g2")
    optimizer, cards = told(g2, [float(i) for i in range(10)], population=10, sample=2)
    born, near = children(optimizer, 200), [set(g2.neighbors(card)) for card in cards]
    assert sum(any(child in around for child in born) for around in near) >= 8
    wins = [sum(child in near[i] for child in born) for i in (1, 9)]
    assert wins[1] > 3 * max(wins[0], 1)  # of two drawn, the best is 19 times in 100 the tenth, 3 times the second


def test_cards_are_drawn_until_there_is_a_population():
    g2 = load_space("g2")
    optimizer, cards = told(g2, [1.0, float("nan"), 2.0], population=3)
    near = {neighbor for card in cards for neighbor in g2.neighbors(card)}
    assert not children(optimizer) & near


def test_it_climbs_a_planted_landscape():
    for space in ("g1", "g2"):
        assert mean_best(Evolution, space, 100) > mean_best(RandomSearch, space, 100) + 0.1


@pytest.mark.parametrize("options", [{"population": 0}, {"sample": 0}])
def test_options_that_make_no_sense(options):
    with pytest.raises(OptionError):
        make_optimizer(Evolution, "pool", **options)
