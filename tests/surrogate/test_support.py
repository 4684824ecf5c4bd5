from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import ModelCard, load_space
from flexnas_bench.surrogate.support import Support

POOL, G3 = list(load_space("pool")), load_space("g3")
SUPPORT = Support(POOL)


def test_trained_cards_are_in_support_and_nothing_of_them_is_lacking():
    assert all(card in SUPPORT and not SUPPORT.lacking(card) for card in POOL)


@given(st.integers(0, G3.size - 1))
def test_a_card_of_g3_is_in_support_if_it_mixes_nothing_that_no_trained_card_mixes(index):
    card = G3[index]
    one_size = len({layer.hidden for layer in card.layers}) == 1
    one_width = all(len(set(layer.feed_forward)) == 1 for layer in card.layers)
    assert (card in SUPPORT) == (one_size and one_width) == (not SUPPORT.lacking(card))


def test_a_single_card_clears_nobody():
    mixed = next(card for card in G3.sample(99) if len({layer.hidden for layer in card.layers}) == 2)
    others = [card for card in G3.sample(9_999) if len({layer.hidden for layer in card.layers}) == 2]
    assert mixed not in Support([*POOL, mixed])
    assert "different hidden sizes in one card" not in Support([*POOL, *others[:5]]).lacking(mixed)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"hidden": 512}, "hidden size 512"),
        ({"heads": 8}, "heads 8"),
        ({"feed_forward": (4096,)}, "feed-forward width 4096"),
        ({"feed_forward": (512, 512)}, "feed-forward stacks of 2"),
        ({"operation": "DSC", "parameter": 7}, "operation DSC-7"),
        ({"feed_forward": (512, 1024, 512)}, "different widths in one feed-forward stack"),
    ],
)
def test_what_is_lacking_is_told(change, word):
    mini = ModelCard.named("bert-mini")
    card = ModelCard(tuple(replace(layer, **change) for layer in mini.layers))
    assert card not in SUPPORT
    assert SUPPORT.lacking(card) == [word]
    deeper = ModelCard(mini.layers * 2)
    assert SUPPORT.lacking(deeper) == ["depth 8"]
