"""Neighbours, mutation and crossover against brute force."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import (
    DesignSpace,
    EncoderLayer,
    InvalidSpaceError,
    ModelCard,
    NotInSpaceError,
    OptionError,
    load_space,
)
from flexnas_bench.space import Choices, GridSpace

TINY, MINI, BEST = (ModelCard.named(name) for name in ("bert-tiny", "flexibert-mini", "flexibert-best-s2"))
OWN = GridSpace(
    "own",
    Choices(
        layers=(1, 2, 3),
        hidden=(64, 128, 192),
        feed_forward=(256, 512, 1024),
        feed_forward_stacks=(1, 2, 3),
        heterogeneous_feed_forward=True,
        operations=(("SA", "SDP"), ("DSC", 3)),
    ),
)
GRIDS = {**{name: load_space(name) for name in ("g1", "g2", "g3", "homogeneous")}, "own": OWN}


def decisions(layer):
    """What is decided in a layer whose feed-forward stack has one width."""
    return (layer.operation, layer.parameter), layer.hidden, layer.heads, layer.feed_forward[0], len(layer.feed_forward)


def differ_once(a, b, repeat):
    """Whether two cards of stacks of `repeat` equal layers differ in a single decision, by the words of `neighbors`."""
    if a.num_layers == b.num_layers:
        pairs = zip(a.layers[::repeat], b.layers[::repeat], strict=True)
        return sum(x != y for i, j in pairs for x, y in zip(decisions(i), decisions(j), strict=True)) == 1
    short, deep = sorted((a, b), key=lambda card: card.num_layers)
    rest = deep.num_layers - short.num_layers
    return deep.layers == short.layers + (short.layers[-1],) * rest


@pytest.mark.parametrize("card", [TINY, MINI, BEST, ModelCard.named("convbert-mini"), ModelCard.named("fnet-tiny")])
def test_neighbors_in_g1_by_brute_force(card):
    g1 = load_space("g1")
    found = g1.neighbors(card)
    assert set(found) == {other for other in g1 if differ_once(card, other, 2)}
    assert len(found) == len(set(found))


def test_homogeneous_neighbors_by_brute_force():
    space = load_space("homogeneous")
    for card in space.sample(20, seed=1):
        same_depth = {other for other in space if other.num_layers == card.num_layers}
        expected = {other for other in same_depth if differ_once(card, other, card.num_layers)}
        expected |= {other for other in space if other not in same_depth and differ_once(card, other, 1)}
        assert set(space.neighbors(card)) == expected


def test_g1_hangs_together():
    g1 = load_space("g1")
    reached, waiting = {TINY}, [TINY]
    while waiting:
        fresh = set(g1.neighbors(waiting.pop())) - reached
        reached |= fresh
        waiting += fresh
    assert len(reached) == 9_312


@pytest.mark.parametrize("name", GRIDS)
@given(data=st.data())
def test_being_neighbors_is_mutual_and_stays_in_the_space(name, data):
    space = GRIDS[name]
    card = space[data.draw(st.integers(0, space.size - 1))]
    neighbors = space.neighbors(card)
    assert card not in neighbors
    assert len(set(neighbors)) == len(neighbors) > 0
    other = data.draw(st.sampled_from(neighbors))
    assert other in space
    assert card in space.neighbors(other)


@pytest.mark.parametrize("name", [*GRIDS, "pool"])
@given(data=st.data())
def test_mutation_draws_a_neighbor(name, data):
    space = GRIDS.get(name) or load_space(name)
    card = space[data.draw(st.integers(0, space.size - 1))]
    seed = data.draw(st.integers(0, 1000))
    mutant = space.mutate(card, np.random.default_rng(seed))
    assert mutant in space.neighbors(card)
    assert mutant == space.mutate(card, np.random.default_rng(seed))


def test_mutation_reaches_every_neighbor():
    rng = np.random.default_rng(0)
    drawn = Counter(load_space("g1").mutate(TINY, rng) for _ in range(2_000))
    assert set(drawn) == set(load_space("g1").neighbors(TINY))
    deeper = ModelCard(TINY.layers * 2)
    assert drawn[deeper] == pytest.approx(2_000 / 6, rel=0.2)  # one of six decisions: depth


def test_where_nothing_can_change():
    single = GridSpace("single", Choices((2,), 1, (128,), (2,), (512,), (1,), operations=(("SA", "SDP"),)))
    assert single.size == 1
    assert single.neighbors(TINY) == []
    with pytest.raises(NotInSpaceError, match="nothing can be changed"):
        single.mutate(TINY, np.random.default_rng(0))
    for act in (single.neighbors, lambda card: single.mutate(card, np.random.default_rng(0))):
        with pytest.raises(NotInSpaceError, match="no cards of 4 layers"):
            act(MINI)


def products(a, b, depth, heterogeneous):
    """All children of two cards, layer by layer, by the words of section B.3."""
    choices = []
    for j in range(depth):
        parents = [card.layers[j] for card in (a, b) if j < card.num_layers]
        operations = {(p.operation, p.parameter) for p in parents}
        widths = {width for p in parents for width in p.feed_forward}
        stacks = set()
        for height in {len(p.feed_forward) for p in parents}:
            stacks |= set(product(widths, repeat=height)) if heterogeneous else {(w,) * height for w in widths}
        choices.append(
            [
                EncoderLayer(*operation, h, n, stack)
                for operation in operations
                for h in {p.hidden for p in parents}
                for n in {p.heads for p in parents}
                for stack in stacks
            ]
        )
    return {ModelCard(layers) for layers in product(*choices)}


@pytest.mark.parametrize(("name", "heterogeneous"), [("g2", False), ("g3", True)])
def test_children_are_all_the_products_and_nothing_else(name, heterogeneous):
    rng = np.random.default_rng(0)
    other = ModelCard.named("bert-tiny")
    wma = ModelCard.from_dict(other.to_dict() | {"p": ["WMA", "SDP"], "n": [2, 4], "f": [[512] * 3, [1024]]})
    expected = products(other, wma, 2, heterogeneous)
    drawn = Counter(load_space(name).crossover(other, wma, rng) for _ in range(200 * len(expected)))
    assert set(drawn) == expected
    chi_square = sum((count - 200) ** 2 / 200 for count in drawn.values())
    assert chi_square < len(expected) + 5 * np.sqrt(2 * len(expected))  # all products equally likely


def test_children_of_g1_in_g2_are_half_a_stack_finer():
    g2, rng = load_space("g2"), np.random.default_rng(1)
    children = {g2.crossover(MINI, BEST, rng) for _ in range(400)}
    assert children <= products(MINI, BEST, 4, heterogeneous=False)
    assert any(child.layers[0] != child.layers[1] for child in children)
    assert all(child in load_space("g1") for child in (load_space("g1").crossover(MINI, BEST, rng) for _ in range(50)))


def test_a_child_is_as_deep_as_one_of_its_parents():
    rng = np.random.default_rng(2)
    children = [load_space("g2").crossover(TINY, MINI, rng) for _ in range(100)]
    assert {child.num_layers for child in children} == {2, 4}
    assert all(child.layers[2:] == MINI.layers[2:] for child in children if child.num_layers == 4)


def test_parents_without_a_value_of_the_space():
    large = ModelCard.named("flexibert-large")
    with pytest.raises(NotInSpaceError, match="as deep"):
        load_space("g2").crossover(large, large, np.random.default_rng(0))
    wide = ModelCard(large.layers[:2])
    with pytest.raises(NotInSpaceError, match="hidden size"):
        load_space("g2").crossover(wide, wide, np.random.default_rng(0))


def one_hot(card):
    """Decisions of a card layer by layer, for counting differences."""
    layers = [decisions(layer) for layer in card.layers] + [((0, 0), 0, 0, 0, 0)] * (4 - card.num_layers)
    return (card.num_layers, *(value for layer in layers for value in layer))


def test_neighbors_in_a_list_differ_in_the_fewest_decisions(pool):
    for card in pool.sample(15, seed=6):
        counts = {
            other: sum(x != y for x, y in zip(one_hot(card), one_hot(other), strict=True))
            for other in pool
            if other != card
        }
        fewest = min(counts.values())
        assert set(pool.neighbors(card)) == {other for other, count in counts.items() if count == fewest}
        assert counts[pool.nearest(card, excluded=[card])] == fewest
        assert pool.nearest(card) == card


def test_children_in_a_list_are_listed(pool):
    rng = np.random.default_rng(0)
    a, b = pool.sample(2, seed=7)
    for _ in range(20):
        child = pool.crossover(a, b, rng)
        assert child in pool
        assert child not in (a, b)
    with pytest.raises(NotInSpaceError, match="taken"):
        DesignSpace.from_cards("two", [a, b]).crossover(a, b, rng)


def test_parts_of_spaces():
    shallow = load_space("g1").where("shallow", lambda card: card.num_layers == 2)
    assert shallow.size == 96
    assert shallow.choices.layers == (2,)
    assert all(card.num_layers == 2 for card in shallow)
    assert shallow.digest != load_space("g1").digest
    with pytest.raises(InvalidSpaceError, match="no cards"):
        load_space("g1").where("none", lambda card: False)
    with pytest.raises(InvalidSpaceError, match="too many"):
        load_space("g2").where("many", lambda card: True)


def test_levels_go_from_coarse_to_fine():
    g1, g2, g3 = (load_space(name) for name in ("g1", "g2", "g3"))
    assert g1.finer().digest == g2.digest
    assert g2.finer().digest == g3.digest
    coarse = GridSpace("coarse", Choices(layers=(4, 8), layers_per_stack=4))
    assert coarse.finer().choices.layers_per_stack == 2
    parents = [coarse[7], coarse[1000]]
    child = coarse.finer().crossover(*parents, np.random.default_rng(0))
    assert child in coarse.finer()
    for space in (g3, load_space("homogeneous"), GridSpace("odd", Choices(layers=(3,), layers_per_stack=3))):
        with pytest.raises(InvalidSpaceError, match="no finer one"):
            space.finer()


@pytest.mark.parametrize("changes", [{"layers": ()}, {"layers": (3,), "layers_per_stack": 2}, {"operations": ()}])
def test_choices_that_make_no_sense(changes):
    with pytest.raises(InvalidSpaceError):
        Choices(**changes)


def test_indices_and_samples_of_other_types():
    space = load_space("g1")
    assert space[np.int64(-1)] == space[-1]
    assert space.sample(np.int64(3), seed=np.int64(1)) == space.sample(3, seed=1)
    for n, seed in ((1.5, 0), (3, -1), ("3", 0), (-1, 0)):
        with pytest.raises(OptionError):
            space.sample(n, seed=seed)
    for name in (None, 3):
        with pytest.raises(NotInSpaceError, match="no space is named"):
            load_space(name)


def test_spaces_are_told_apart_by_what_they_consist_of():
    digests = {load_space(name).digest for name in ("g1", "g2", "g3", "homogeneous", "pool")}
    assert len(digests) == 5
    assert GridSpace("mine", Choices(layers_per_stack=2)).digest == load_space("g1").digest
    cards = load_space("pool").sample(3, seed=0)
    assert DesignSpace.from_cards("a", cards).digest != DesignSpace.from_cards("a", cards[::-1]).digest


@given(st.integers(0, 10_000))
def test_the_choices_of_cards_hold_them(seed):
    cards = OWN.sample(5, seed=seed)
    listed = DesignSpace.from_cards("some", cards)
    assert list(listed) == cards
    products = GridSpace("products", listed.choices)
    assert all(card in products for card in cards)
