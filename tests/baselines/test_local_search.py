import numpy as np
import pytest
from flexnas_baselines.local_search import LocalSearch
from flexnas_baselines.random_search import RandomSearch

from flexnas_bench import OptionError, load_space, make_optimizer
from tests.baselines.planted import mean_best, search_planted


def test_it_tries_the_neighbours_of_the_best_card_one_by_one():
    g1 = load_space("g1")
    start, *others = g1.sample(5, seed=3)
    optimizer = make_optimizer(LocalSearch, g1, initial=0)
    optimizer.tell([start, *others], [5.0, 4.0, 3.0, float("nan"), 1.0])
    tried = []
    for _ in range(len(g1.neighbors(start))):
        tried += optimizer.ask()
        optimizer.tell(tried[-1:], [2.0])
    assert set(tried) == set(g1.neighbors(start))


def test_it_moves_at_the_first_better_one():
    g1 = load_space("g1")
    (start,) = g1.sample(1, seed=3)
    optimizer = make_optimizer(LocalSearch, g1, initial=0)
    optimizer.tell([start], [5.0])
    (better,) = optimizer.ask()
    optimizer.tell([better], [6.0])
    assert optimizer.ask()[0] in g1.neighbors(better)


def test_it_starts_elsewhere_when_patience_is_lost():
    g1 = load_space("g1")
    (start,) = g1.sample(1, seed=3)
    optimizer = make_optimizer(LocalSearch, g1, initial=0, patience=4)
    optimizer.tell([start], [5.0])
    for _ in range(4):
        optimizer.tell(optimizer.ask(), [1.0])
    (elsewhere,) = optimizer.ask()
    assert elsewhere not in g1.neighbors(start)
    optimizer.tell([elsewhere], [2.0])  # worse than the first summit, and still where the new climb begins
    assert optimizer.ask()[0] in g1.neighbors(elsewhere)


def test_it_reaches_a_planted_summit():
    reached = [search_planted(LocalSearch, load_space("g1"), 100, seed) for seed in range(8)]
    assert np.mean([values.max() == top for values, top in reached]) > 0.5  # of 9,312 cards
    assert mean_best(LocalSearch, "g2", 100) > mean_best(RandomSearch, "g2", 100) + 0.1


def test_options_that_make_no_sense():
    with pytest.raises(OptionError):
        make_optimizer(LocalSearch, "pool", patience=0)
