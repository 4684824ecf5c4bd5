"""Stretched cards by hand, and what they must tell apart."""

import numpy as np
import pytest

from flexnas_bench import EncoderLayer, ModelCard, NotInSpaceError, load_embedding, load_space
from flexnas_bench.embedding.stretched import _shares


def test_a_card_by_hand():
    embedding = load_embedding("stretched", "g2")
    shallow, deep = (ModelCard.named(name) for name in ("bert-tiny", "bert-mini"))
    vector = embedding.vector(shallow)
    layer = [1, 0, 0, 0, 0, 0, -1, -1, -1, -1]  # SA-SDP; hidden, heads, width and height are the smallest
    np.testing.assert_allclose(vector[:40], np.tile(layer, 4) / 2)
    assert vector[40] == -4
    assert embedding.vector(deep)[40] == 4
    assert embedding.vector(deep)[41] > vector[41]


def test_parameters_are_standardised():
    embedding = load_embedding("stretched", "pool")
    assert embedding.matrix[:, -1].mean() == pytest.approx(0, abs=1e-5)
    assert embedding.matrix[:, -1].std() == pytest.approx(2, rel=1e-5)


@pytest.mark.parametrize("space", ["g1", "g2", "g3", "pool"])
def test_no_two_cards_have_one_vector(space):
    embedding = load_embedding("best", space)
    assert embedding.name == "stretched"
    cards = list(load_space(space)) if space in ("g1", "pool") else load_space(space).sample(3_000, seed=1)
    vectors = embedding.vectors(cards)
    assert len(np.unique(vectors.round(5), axis=0)) == len(cards)


def test_a_shallow_card_is_near_the_deep_one_that_repeats_its_layers():
    embedding, space = load_embedding("stretched", "g2"), load_space("g2")
    (card,) = space.sample(1, seed=3)
    shallow = ModelCard(card.layers[:2])
    doubled = ModelCard(tuple(layer for layer in shallow.layers for _ in range(2)))
    np.testing.assert_allclose(embedding.vector(shallow)[:40], embedding.vector(doubled)[:40])


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 24])
def test_every_layer_has_its_share_of_the_depth(depth):
    shares = _shares(depth)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares.sum(axis=0), 4 / depth)


def test_deep_spaces_of_ones_own(tmp_path):
    space = load_space("docs/tiny_to_large.toml")
    embedding = load_embedding("stretched", space)
    assert np.isfinite(embedding.vectors(space.sample(20, seed=1))).all()


def test_what_it_cannot_describe_is_refused():
    embedding = load_embedding("stretched", "g1")
    with pytest.raises(NotInSpaceError, match="24 layers"):
        embedding.vector(ModelCard.named("flexibert-large"))
    card = ModelCard((ModelCard.named("bert-tiny").layers[0], EncoderLayer("SA", "SDP", 128, 8, (512,))))
    with pytest.raises(NotInSpaceError, match="like layer 2"):
        embedding.vector(card)
