"""The distance against a program over single nodes, against networkx, and against what distances are."""

from itertools import combinations, product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from flexnas_bench import EncoderLayer, GedNotExact, ModelCard, NotInSpaceError, OptionError, ged, load_space
from flexnas_bench.distance.blocks import GroupGraph, block_indices
from flexnas_bench.distance.ged import bounds_of_any_map, is_node_optimal
from flexnas_bench.distance.matched import problem_of, solve_one
from flexnas_bench.distance.outline import node_distances, outline
from flexnas_bench.graph import BlockGraph
from flexnas_bench.space import Choices

INDICES = block_indices(Choices())
TINY, MINI, FLEXI = (ModelCard.named(name) for name in ("bert-tiny", "bert-mini", "flexibert-mini"))
TINY_WMA = ModelCard.from_dict(TINY.to_dict() | {"p": ["WMA", "WMA"]})
SWAPPED = ModelCard(FLEXI.layers[2:] + FLEXI.layers[:2])
WORKED = [(TINY, TINY_WMA, 4.0), (TINY, FLEXI, 109.2), (TINY, MINI, 199.2), (MINI, FLEXI, 91.6), (FLEXI, SWAPPED, 1.8)]


def by_single_nodes(a, b, edge_cost=0.1):
    """The distance by a mixed-integer program with a variable for every pair of nodes and of edges; any map goes.

    Constraints as in program F2 of Lerouge et al. (2017), for both graphs.
    """
    first, second = BlockGraph.of(a.layers), BlockGraph.of(b.layers)
    i, j = (np.array([INDICES[label] for label in graph.labels]) for graph in (first, second))
    n, m, k, h = len(i), len(j), len(first.edges), len(second.edges)
    rows, columns, values, ceiling = [], [], [], []

    def add(terms, upper):
        for column, value in terms:
            rows.append(len(ceiling))
            columns.append(column)
            values.append(value)
        ceiling.append(upper)

    for u in range(n):
        add([(u * m + v, 1) for v in range(m)], 1)
    for v in range(m):
        add([(u * m + v, 1) for u in range(n)], 1)
    edge = n * m + np.arange(k * h).reshape(k, h)  # columns
    for mine, theirs in zip(np.array(first.edges).T, np.array(second.edges).T, strict=True):  # sources, then targets
        for e, v in product(range(k), range(m)):
            add([(column, 1) for column in edge[e, theirs == v]] + [(mine[e] * m + v, -1)], 0)
        for f, u in product(range(h), range(n)):
            add([(column, 1) for column in edge[mine == u, f]] + [(u * m + theirs[f], -1)], 0)
    nodes = (np.abs(i[:, None] - j[None, :]) - i[:, None] - j[None, :]).ravel()  # less than deleting and inserting
    size = n * m + k * h
    matrix = coo_array((values, (rows, columns)), shape=(len(ceiling), size)).tocsr()
    result = milp(
        np.r_[nodes, np.full(k * h, -2 * edge_cost)],
        constraints=LinearConstraint(matrix, -np.inf, ceiling),
        bounds=Bounds(0, 1),
        integrality=np.r_[np.ones(n * m), np.zeros(k * h)],
        options={"mip_rel_gap": 0.0},
    )
    assert result.status == 0
    return result.fun + i.sum() + j.sum() + edge_cost * (k + h)


def by_program(a, b, edge_cost):
    """The distance by the program over node-optimal maps, solved, not looked up."""
    nodes, _ = problem_of(a, b)
    matched = solve_one(a, b, 60)
    assert matched.known
    return nodes + edge_cost * (a.graph.num_edges + b.graph.num_edges - 2 * matched.lower)


def by_networkx(a, b, edge_cost=0.1):
    def index(attributes):
        return INDICES[attributes["label"]]

    return nx.graph_edit_distance(
        a.graph(),
        b.graph(),
        node_subst_cost=lambda x, y: abs(index(x) - index(y)),
        node_del_cost=index,
        node_ins_cost=index,
        edge_subst_cost=lambda *_: 0,
        edge_del_cost=lambda _: edge_cost,
        edge_ins_cost=lambda _: edge_cost,
    )


def test_block_indices_are_those_of_the_paper():
    assert [INDICES[f"h128/SA-{p}"] for p in ("SDP", "WMA")] == [12, 13]
    assert [INDICES[f"h{h}/LT-{p}"] for h in (128, 256) for p in ("DFT", "DCT")] == [7, 8, 9, 10]
    assert [INDICES[f"h{h}/DSC-{p}"] for h in (128, 256) for p in (5, 9)] == [17, 18, 19, 20]
    assert len(set(INDICES.values())) == len(INDICES) == 17
    assert not {3, 6, 11, 16} & set(INDICES.values())
    shuffled = Choices(hidden=(256, 128), feed_forward=(1024, 512), operations=Choices().operations[::-1])
    assert block_indices(shuffled) == INDICES


@pytest.mark.parametrize(("a", "b", "distance"), WORKED)
def test_worked_values(a, b, distance):
    assert ged(a, b) == ged(b, a) == distance


def test_groups_are_the_graph_with_twins_as_one():
    for card in load_space("g3").sample(50, seed=1):
        graph, groups = BlockGraph.of(card.layers), GroupGraph.of(card.layers, Choices())
        assert groups.size == len(graph.labels)
        assert groups.num_edges == len(graph.edges)
        assert sorted(np.repeat(groups.indices, groups.sizes)) == sorted(INDICES[label] for label in graph.labels)
        assert all(1 in (groups.sizes[p], groups.sizes[q]) for p, q in groups.edges)


def shallow_pairs(count, seed):
    cards = [card for card in load_space("g2").sample(8 * count, seed=seed) if card.num_layers == 2]
    shallow = load_space("g1").where("shallow", lambda card: card.num_layers == 2).sample(2 * count, seed=seed) + cards
    return list(zip(shallow[::2], shallow[1::2], strict=False))[:count]


@pytest.mark.parametrize(("a", "b"), [*shallow_pairs(6, 0), (TINY, FLEXI), (TINY, TINY)])
def test_the_distance_is_the_optimum_over_all_maps_of_single_nodes(a, b):
    assert ged(a, b) == pytest.approx(by_single_nodes(a, b), abs=1e-6)


@pytest.mark.parametrize("seed", [*range(1_000, 1_004), *(pytest.param(i, marks=pytest.mark.slow) for i in range(300))])
def test_the_distance_is_the_optimum_for_random_cards_of_g1(seed):
    a, b = load_space("g1").sample(2, seed=seed)
    assert ged(a, b) == pytest.approx(by_single_nodes(a, b), abs=1e-6)


def tiny_cards():
    layers = [
        EncoderLayer(*operation, 128, heads, (width,))
        for operation in (("SA", "SDP"), ("LT", "DCT"), ("DSC", 9))
        for heads in (1, 2)
        for width in (512, 1024)
    ]
    return [ModelCard((layer,)) for layer in layers]


@pytest.mark.parametrize(("a", "b"), list(combinations(tiny_cards(), 2))[::7])
@pytest.mark.parametrize("edge_cost", [0.1, 0.25, 3.0])
def test_networkx_run_to_its_end_agrees(a, b, edge_cost):
    assert ged(a, b, edge_cost=edge_cost) == pytest.approx(by_networkx(a, b, edge_cost), abs=1e-9)


@pytest.mark.parametrize("edge_cost", [0.0, 0.05, 0.2])
def test_the_two_ways_agree_where_both_are_exact(edge_cost):
    for a, b in shallow_pairs(3, 3):
        outlines = [outline(card, Choices()) for card in (a, b)]
        assert is_node_optimal(*outlines, min(edge_cost, 0.14))
        lower, upper = bounds_of_any_map(*outlines, edge_cost, 60)
        assert lower == pytest.approx(upper)
        assert ged(a, b, edge_cost=edge_cost) == pytest.approx(upper)
        if is_node_optimal(*outlines, edge_cost):
            assert by_program(*outlines, edge_cost) == pytest.approx(upper)


def test_with_dear_edges_the_cheapest_nodes_may_not_be_the_cheapest_path():
    """The condition of the claim is there for a reason: without it the restricted program is no longer exact."""
    dearer = []
    for (a, b), edge_cost in product(shallow_pairs(12, 5), (5.0, 20.0)):
        outlines = [outline(card, Choices()) for card in (a, b)]
        assert not is_node_optimal(*outlines, edge_cost)
        restricted, (_, every) = by_program(*outlines, edge_cost), bounds_of_any_map(*outlines, edge_cost, 60)
        assert every <= restricted + 1e-6
        dearer.append(restricted > every + 1e-6)
    assert any(dearer)


def test_eight_heads_are_refused_by_the_claim_and_solved_without_it():
    wide = [ModelCard((EncoderLayer(*operation, 128, 8, (512,)),)) for operation in (("SA", "SDP"), ("LT", "DFT"))]
    assert not is_node_optimal(*(outline(card, Choices()) for card in wide), 0.1)
    assert ged(*wide) == pytest.approx(8 * 5)


@settings(max_examples=15)
@given(st.integers(0, 9_311), st.integers(0, 9_311))
def test_it_is_symmetric_and_zero_only_for_equal_cards(i, j):
    a, b = load_space("g1")[i], load_space("g1")[j]
    distance = ged(a, b)
    assert distance == ged(b, a)
    assert (distance == 0) == (a == b)
    (nodes,) = node_distances([a], [b])[0]
    assert nodes <= distance <= nodes + 5.6


@pytest.mark.parametrize("seed", range(5))
def test_no_detour_is_shorter(seed):
    a, b, c = load_space("g1").sample(3, seed=100 + seed)
    ab, bc, ac = ged(a, b), ged(b, c), ged(a, c)
    assert max(ab, bc, ac) <= ab + bc + ac - max(ab, bc, ac) + 1e-9


def test_what_cannot_be_measured():
    large = ModelCard.named("flexibert-large")
    with pytest.raises(NotInSpaceError, match="h1024/SA-SDP has no index"):
        ged(TINY, large)
    own = Choices(layers=(2, 24), hidden=(128, 512, 1024), heads=(2, 8, 16), feed_forward=(512, 2048, 4096))
    assert ged(large, large, choices=own) == 0.0
    for wrong in ({"edge_cost": -1.0}, {"edge_cost": float("nan")}, {"seconds": 0}):
        with pytest.raises(OptionError):
            ged(TINY, MINI, **wrong)
    a, b = load_space("g3").sample(2, seed=3)
    with pytest.raises(GedNotExact, match="is known to lie in"):
        ged(a, b, edge_cost=7.0, seconds=1e-3)
