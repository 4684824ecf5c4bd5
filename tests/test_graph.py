import random
from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import ModelCard, load_space
from flexnas_bench.graph import BlockGraph
from tests.conftest import any_cards


def shuffled(graph: BlockGraph, rng: random.Random) -> BlockGraph:
    order = list(range(len(graph.labels)))
    rng.shuffle(order)
    labels = [""] * len(order)
    for old, new in enumerate(order):
        labels[new] = graph.labels[old]
    edges = [(order[u], order[v]) for u, v in graph.edges]
    rng.shuffle(edges)
    return BlockGraph(tuple(labels), tuple(edges))


@given(any_cards, st.randoms(use_true_random=False))
def test_the_hash_does_not_depend_on_node_order(card, rng):
    graph = BlockGraph.of(card.layers)
    assert shuffled(graph, rng).hash == graph.hash == card.hash


def test_all_cards_of_g1_have_different_hashes():
    assert len({card.hash for card in load_space("g1")}) == 9_312


@pytest.mark.parametrize("name", ["g2", "g3"])
def test_random_cards_of_large_spaces_have_different_hashes(name):
    cards = load_space(name).sample(3_000, seed=5)
    assert len({card.hash for card in cards}) == 3_000


def test_hashes_agree_with_isomorphism_on_all_pairs_of_small_cards():
    # Similar on purpose: orders of the same layers, one head more, one width changed.
    layers = [card.layers[0] for card in (ModelCard.named(name) for name in ("bert-tiny", "fnet-tiny", "bert-mini"))]
    cards = [ModelCard((a, b)) for a in layers for b in layers] + load_space("g1").sample(12, seed=3)
    graphs = [card.graph() for card in cards]
    same_label = nx.algorithms.isomorphism.categorical_node_match("label", None)
    for (a, graph_a), (b, graph_b) in combinations(zip(cards, graphs, strict=True), 2):
        assert (a.hash == b.hash) == nx.is_isomorphic(graph_a, graph_b, node_match=same_label)


def test_bert_tiny_is_figure_2():
    graph = ModelCard.named("bert-tiny").graph()
    labels = [graph.nodes[v]["label"] for v in nx.lexicographical_topological_sort(graph)]
    layer = ["h128/SA-SDP"] * 2 + ["add_norm", "feed_forward-512", "add_norm"]
    assert labels == ["input", *layer, *layer, "output"]
    assert graph.number_of_edges() == 17
    assert nx.is_directed_acyclic_graph(graph)
    assert [v for v in graph if graph.in_degree(v) == 0] == [0]
    assert graph.has_edge(0, 3)  # the residual connection around the heads
    assert graph.has_edge(3, 5)  # and the one around the feed-forward chain


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="cycle"):
        _ = BlockGraph(("a", "b"), ((0, 1), (1, 0))).hash


def test_the_hash_sees_beyond_direct_neighbours():
    # Two chains with the same multiset of labelled neighbourhoods; only order along the chain differs.
    chain = BlockGraph(tuple("xaayaabz"), tuple((i, i + 1) for i in range(7)))
    other = BlockGraph(tuple("xaabaayz"), tuple((i, i + 1) for i in range(7)))
    assert chain.hash != other.hash
