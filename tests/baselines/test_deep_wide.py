import numpy as np
import pytest
from flexnas_baselines.deep_wide import DeepWide

from flexnas_bench import load_space, make_optimizer


def size(card):
    return card.num_layers, sum(layer.hidden for layer in card.layers)


@pytest.mark.parametrize("name", ["pool", "homogeneous"])
def test_cards_come_from_the_largest_to_the_smallest(name):
    space = load_space(name)
    cards = make_optimizer(DeepWide, space, seed=2, initial=0).ask(space.size)
    assert [size(card) for card in cards] == sorted(map(size, space), reverse=True)


def test_of_one_size_all_are_equally_likely(pool):
    largest = [card for card in pool if size(card) == (4, 1024)]
    counts = dict.fromkeys(largest, 0)
    for seed in range(300):
        for card in make_optimizer(DeepWide, pool, seed=seed, initial=0).ask(20):
            counts[card] += 1
    expected = 300 * 20 / len(largest)
    assert abs(np.array(list(counts.values())) - expected).max() < 5 * np.sqrt(expected)


def test_in_a_space_too_large_to_list_they_are_drawn():
    cards = make_optimizer(DeepWide, "g3", seed=1, initial=0).ask(200)
    assert {size(card) for card in cards} == {(4, 1024)}
    for name in ("operation", "heads", "feed_forward"):
        seen = {getattr(layer, name) for card in cards for layer in card.layers}
        assert seen == {getattr(layer, name) for layer in load_space("g3").choices.layer_choices}
