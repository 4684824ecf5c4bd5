"""The alignment distance against every alignment there is, and against what distances are."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import ModelCard, NotInSpaceError, OptionError, alignment_distance, ged, load_space
from flexnas_bench.distance.alignment import align, alignment_distances, layer_distance
from flexnas_bench.distance.blocks import block_indices
from flexnas_bench.space import Choices

CHOICES = Choices()
TINY, FLEXI = ModelCard.named("bert-tiny"), ModelCard.named("flexibert-mini")
SWAPPED = ModelCard(FLEXI.layers[2:] + FLEXI.layers[:2])
CARDS = st.integers(0, load_space("g3").size - 1).map(load_space("g3").__getitem__)


def every_alignment(a, b):
    """All ways to pair as many items of two sequences as one likes, in order; the rest has no partner."""
    for k in range(min(len(a), len(b)) + 1):
        for i in combinations(range(len(a)), k):
            for j in combinations(range(len(b)), k):
                pairs = [(a[p], b[q]) for p, q in zip(i, j, strict=True)]
                pairs += [(x, None) for p, x in enumerate(a) if p not in i]
                yield pairs + [(None, y) for q, y in enumerate(b) if q not in j]


@given(st.lists(st.integers(1, 9), max_size=5), st.lists(st.integers(1, 9), max_size=5))
def test_it_is_the_cheapest_of_all_alignments(a, b):
    def between(x, y):
        return abs((x or 0) - (y or 0)) ** 0.5

    costs = (sum(between(x, y) for x, y in pairs) for pairs in every_alignment(a, b))
    assert align(a, b, between) == pytest.approx(min(costs))


@given(CARDS, CARDS)
def test_layers_are_aligned_at_the_least_cost(a, b):
    costs = (sum(layer_distance(x, y, 0.1, CHOICES) for x, y in pairs) for pairs in every_alignment(a.layers, b.layers))
    assert alignment_distance(a, b) == pytest.approx(min(costs))


@given(CARDS, CARDS, CARDS)
def test_it_is_a_metric(a, b, c):
    ab, bc, ac = (alignment_distance(*pair) for pair in ((a, b), (b, c), (a, c)))
    assert ab == alignment_distance(b, a)
    assert (ab == 0) == (a == b)
    assert ac <= ab + bc + 1e-9


def test_worked_values():
    indices = block_indices(CHOICES)
    assert alignment_distance(TINY, ModelCard.from_dict(TINY.to_dict() | {"p": ["WMA", "WMA"]})) == 4.0
    wider = ModelCard.from_dict(TINY.to_dict() | {"n": [4, 2]})
    assert alignment_distance(TINY, wider) == pytest.approx(2 * indices["h128/SA-SDP"] + 0.1 * 4)
    deeper = ModelCard((*TINY.layers, TINY.layers[0]))
    blocks = 2 * indices["h128/SA-SDP"] + indices["feed_forward-512"] + 2 * indices["add_norm"]
    assert alignment_distance(TINY, deeper) == pytest.approx(blocks + 0.1 * 8)


def test_order_counts_where_the_graph_edit_distance_hardly_sees_it():
    assert ged(FLEXI, SWAPPED) == 1.8
    assert alignment_distance(FLEXI, SWAPPED) > 100


def test_what_cannot_be_measured():
    with pytest.raises(NotInSpaceError, match="has no index"):
        alignment_distance(TINY, ModelCard.named("flexibert-large"))
    with pytest.raises(OptionError):
        alignment_distance(TINY, FLEXI, edge_cost=-1)


@pytest.mark.parametrize("space", ["g1", "g3", "pool"])
def test_many_at_once_are_one_by_one(space):
    cards, others = load_space(space).sample(25, seed=1), load_space("g2").sample(15, seed=2)
    distances = alignment_distances(cards, others, jobs=2)
    np.testing.assert_allclose(distances, [[alignment_distance(a, b) for b in others] for a in cards], rtol=1e-6)
    cheap = alignment_distances(cards, cards, edge_cost=0.0)
    np.testing.assert_allclose(cheap[0], [alignment_distance(cards[0], b, edge_cost=0.0) for b in cards], rtol=1e-6)
    assert not np.diag(cheap).any()
