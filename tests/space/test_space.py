from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import EncoderLayer, ModelCard, NotInSpaceError, OptionError, load_space
from flexnas_bench.space import Choices, GridSpace, ListSpace

SIZES = {"g1": 9_312, "g2": 84_943_872, "g3": 3_317_817_600, "homogeneous": 192, "pool": 491}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes_are_those_of_the_paper(name, size):
    space = load_space(name)
    assert space.size == len(space) == size


@pytest.mark.parametrize("name", SIZES)
@given(data=st.data())
def test_rank_and_unrank_are_inverse(name, data):
    space = load_space(name)
    index = data.draw(st.integers(0, space.size - 1))
    card = space[index]
    assert space.index(card) == index
    assert card in space
    assert space[index - space.size] == card


@pytest.mark.parametrize("name", ["g1", "homogeneous", "pool"])
def test_every_card_of_a_small_space_is_there_once(name):
    space = load_space(name)
    assert len(set(space)) == space.size
    assert [space.index(card) for card in space] == list(range(space.size))


def test_small_spaces_lie_in_larger_ones():
    g1, g2, g3 = (load_space(name) for name in ("g1", "g2", "g3"))
    assert all(card in g1 for card in load_space("homogeneous"))
    assert all(card in g2 for card in load_space("pool"))
    assert all(card in g2 for card in g1.sample(300, seed=1))
    assert all(card in g3 for card in g2.sample(300, seed=1))
    assert sum(card in g1 for card in load_space("pool")) == 8


def test_g1_by_brute_force():
    # Section 3.2.2 and Table 2, written out without ranks: every stack of two equal layers.
    operations = [("SA", "SDP"), ("SA", "WMA"), ("LT", "DFT"), ("LT", "DCT"), ("DSC", 5), ("DSC", 9)]
    stacks = [
        (EncoderLayer(o, p, h, n, (f,) * m),) * 2
        for o, p in operations
        for h in (128, 256)
        for n in (2, 4)
        for m in (1, 3)
        for f in (512, 1024)
    ]
    cards = {ModelCard(a) for a in stacks} | {ModelCard(a + b) for a in stacks for b in stacks}
    assert cards == set(load_space("g1"))


def test_cards_outside_are_refused_with_a_reason():
    g1, mini = load_space("g1"), ModelCard.named("flexibert-mini")
    uneven = ModelCard((*mini.layers[:1], *mini.layers[2:3]))
    with pytest.raises(NotInSpaceError, match="layers 1 to 2 to be equal"):
        g1.index(uneven)
    with pytest.raises(NotInSpaceError, match="no cards of 3 layers"):
        g1.index(ModelCard(mini.layers[:3]))
    with pytest.raises(NotInSpaceError, match="no layer h1024/SA-SDP"):
        GridSpace("deep", Choices(layers=(24,))).index(ModelCard.named("flexibert-large"))
    with pytest.raises(NotInSpaceError, match="not among"):
        load_space("pool").index(mini)
    assert uneven not in g1
    assert "bert-tiny" not in g1
    with pytest.raises(NotInSpaceError, match="known: g1"):
        load_space("g4")


@pytest.mark.parametrize("index", [9_312, -9_313])
def test_an_index_outside_is_an_index_error(index):
    for kind in (IndexError, NotInSpaceError):
        with pytest.raises(kind, match="9312 cards"):
            load_space("g1")[index]


def test_size_is_exact_beyond_len():
    deep = GridSpace("deep", Choices(layers=tuple(range(2, 26)), heterogeneous_feed_forward=True))
    assert deep.size == sum(240**depth for depth in range(2, 26))
    with pytest.raises(OverflowError):
        len(deep)
    for index in (0, deep.size // 3, deep.size - 1):
        assert deep.index(deep[index]) == index
    assert len(set(deep.sample(50, seed=1))) == 50


@pytest.mark.parametrize("name", SIZES)
def test_samples_are_distinct_and_repeatable(name):
    space = load_space(name)
    n = min(space.size, 250)
    cards = space.sample(n, seed=4)
    assert len(set(cards)) == n
    assert cards == space.sample(n, seed=4)
    assert cards != space.sample(n, seed=5)
    with pytest.raises(OptionError, match="cannot draw"):
        space.sample(space.size + 1)


@pytest.mark.parametrize("name", ["g1", "g3", "pool"])
def test_sampling_is_uniform(name):
    space, bins = load_space(name), 7
    rng = np.random.default_rng(0)
    counts = np.bincount([space.sample_index(rng) * bins // space.size for _ in range(7_000)], minlength=bins)
    chi_square = ((counts - 1_000) ** 2 / 1_000).sum()
    assert chi_square < 22.5  # 0.1 % point with 6 degrees of freedom


def test_a_list_with_a_card_twice_is_refused():
    card = ModelCard.named("bert-tiny")
    with pytest.raises(ValueError, match="twice"):
        ListSpace("twice", [card, card], Choices())


def test_iterating_a_huge_space_needs_no_memory():
    assert len(list(islice(load_space("g3"), 5))) == 5
