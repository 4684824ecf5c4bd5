from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import ModelCard, biased_overlap, load_space, overlap_fraction
from flexnas_bench.distance.overlap import Donors

CARDS = st.integers(0, load_space("g2").size - 1).map(load_space("g2").__getitem__)


@given(CARDS, CARDS, st.integers(0, 4))
def test_it_counts_the_layers_before_the_first_difference(a, b, shared):
    query = ModelCard((*a.layers[:shared], *b.layers))
    found = biased_overlap(query, a)
    assert query.layers[:found] == a.layers[:found]
    assert found >= min(shared, a.num_layers)
    assert found == min(query.num_layers, a.num_layers) or query.layers[found] != a.layers[found]
    assert biased_overlap(a, query) == found


@given(CARDS, CARDS)
def test_with_four_layers_at_most_the_fractions_are_quarters(a, b):
    assert overlap_fraction(a, b) in (0, 0.25, 0.5, 0.75, 1)
    assert overlap_fraction(a, a) == 1


def test_later_equal_layers_do_not_count():
    mini, tiny = ModelCard.named("bert-mini"), ModelCard.named("bert-tiny")
    sandwich = ModelCard((tiny.layers[0], *mini.layers[1:]))
    assert biased_overlap(sandwich, mini) == 0
    assert overlap_fraction(ModelCard(mini.layers[:2]), mini) == 1.0


@given(
    st.lists(CARDS, max_size=6),
    CARDS,
    st.integers(0, 4),
    st.one_of(st.sampled_from([0.25, 0.5, 0.75, 0.8, 1.0]), st.floats(0.01, 1)),
)
def test_donors_serve_whom_one_of_them_overlaps_enough(trained, other, shared, threshold):
    query = ModelCard((*(trained[0].layers[:shared] if trained else ()), *other.layers))
    donors = Donors(threshold)
    for card in trained:
        donors.add(card)
    assert donors.serve(query) == any(overlap_fraction(query, card) >= threshold - 1e-9 for card in trained)
