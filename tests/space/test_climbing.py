import numpy as np
import pytest

from flexnas_bench import NotInSpaceError, load_space
from flexnas_bench.space import climb


def test_it_reaches_the_top_of_a_landscape_with_one_summit():
    space = load_space("g1")
    (top,) = space.sample(1, seed=4)
    target = space.decisions.of(top)

    def score(cards):
        return np.array([[sum(space.decisions.of(card).get(k) == v for k, v in target.items())] for card in cards])

    found, scores = climb(space, space.sample(3, seed=5), score, beam=4)
    assert found[scores.argmax()] == top
    assert len(set(found)) == len(found) == len(scores) < space.size / 4


def test_several_scores_are_climbed_at_once():
    space = load_space("g2")

    def score(cards):
        sizes = np.array([card.parameters for card in cards]) / 1e6
        return np.stack([sizes, -sizes], axis=1)

    found, scores = climb(space, space.sample(1, seed=3), score, beam=1)
    every = load_space("homogeneous")
    assert scores[:, 0].max() == max(card.parameters for card in every) / 1e6
    assert -scores[:, 1].max() == min(card.parameters for card in every) / 1e6
    np.testing.assert_array_equal(score(found), scores)


def test_it_ends_where_no_neighbour_is_better():
    space = load_space("g2")

    def score(cards):
        return np.array([[np.sin(card.parameters / 3e5)] for card in cards])

    found, scores = climb(space, space.sample(2, seed=1), score, beam=1)
    best = found[scores.argmax()]
    assert all(score([neighbor]) <= scores.max() for neighbor in space.neighbors(best))


def test_the_nearest_card_of_a_grid_that_is_not_excluded():
    space = load_space("g1")
    (card,) = space.sample(1, seed=2)
    assert space.nearest(card) == card
    ring = space.neighbors(card)
    rng = np.random.default_rng(0)
    assert {space.nearest(card, {card}, rng) for _ in range(300)} == set(ring)
    beyond = space.nearest(card, {card, *ring}, rng)
    assert beyond not in {card, *ring}
    assert set(space.neighbors(beyond)) & set(ring)


def test_no_card_is_left():
    space = load_space("homogeneous")
    with pytest.raises(NotInSpaceError, match="taken already"):
        space.nearest(space[0], set(space))
    assert space.nearest(space[0], set(space) - {space[77]}) == space[77]


def test_ties_in_a_listed_space_are_drawn(pool):
    card = pool[3]
    near = {pool.nearest(card, {card}, np.random.default_rng(seed)) for seed in range(200)}
    assert near == set(pool.neighbors(card))
