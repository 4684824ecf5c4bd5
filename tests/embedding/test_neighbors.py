"""Neighbours against all cards of a space, and against what overlap means."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from flexnas_bench import ModelCard, OptionError, biased_overlap, load_embedding, load_space, transfer_neighbors
from flexnas_bench.embedding import base, neighbors

T2V = [pytest.param("t2v-g1-d16", space, marks=pytest.mark.slow) for space in ("g2", "g3")]
EMBEDDINGS = ("one-hot", "t2v-g1-d16")


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_in_a_table_space_all_cards_are_compared(name):
    embedding, card = load_embedding(name), load_space("g1")[5_000]
    found = transfer_neighbors(card, embedding)
    assert len(found) == 100
    vector = embedding.vector(card)
    every = [
        (-biased_overlap(card, other), float(np.linalg.norm(row - vector)))
        for other, row in zip(embedding.space, embedding.matrix, strict=True)
        if other != card
    ]
    np.testing.assert_allclose([(-one.overlap, one.distance) for one in found], sorted(every)[:100], rtol=1e-5)
    assert card not in {one.card for one in found}


@pytest.mark.parametrize("space", ["g2", "g3"])
@pytest.mark.parametrize("depth", [2, 4])
def test_in_a_large_space_they_are_generated(space, depth):
    found_space, embedding = load_space(space), load_embedding("t2v-g1-d16", space)
    card = ModelCard(found_space.sample(1, seed=1)[0].layers[:depth])
    found = transfer_neighbors(card, embedding)
    assert len(found) == len({one.card for one in found}) == 100
    assert all(one.card in found_space and one.overlap == biased_overlap(card, one.card) for one in found)
    assert card not in {one.card for one in found}
    ranks = [(-one.overlap, one.distance) for one in found]
    assert ranks == sorted(ranks)
    assert found[0].overlap == (depth if depth == 2 else 3)  # a deeper card begins with it; or one layer differs


def test_generated_neighbours_of_four_layers_in_g3_are_the_best_there_are():
    """The 239 cards that differ in the last layer only are few enough to compare."""
    space, embedding = load_space("g3"), load_embedding("t2v-g1-d16", "g3")
    (card,) = space.sample(1, seed=2)
    assert card.num_layers == 4
    every = [ModelCard((*card.layers[:3], layer)) for layer in space.choices.layer_choices if layer != card.layers[3]]
    distances = np.linalg.norm(embedding.vectors(every) - embedding.vector(card), axis=1)
    expected = [every[i] for i in np.argsort(distances, kind="stable")[:100]]
    assert {one.card for one in transfer_neighbors(card, embedding)} == set(expected)


def test_generating_finds_what_comparing_finds(monkeypatch):
    """G1 itself, once compared in full and once generated as if it were large."""
    embedding, card = load_embedding("t2v-g1-d16"), ModelCard.named("bert-mini")
    every = transfer_neighbors(card, embedding, k=120)
    monkeypatch.setattr(neighbors, "MATRIX_LIMIT", 100)
    generated = transfer_neighbors(card, embedding, k=120)
    assert [one.overlap for one in generated] == [one.overlap for one in every]
    assert len({one.card for one in every} & {one.card for one in generated}) >= 110


@pytest.mark.parametrize(("name", "space"), [("one-hot", "g2"), ("stretched", "g3"), *T2V])
def test_nearest_in_a_large_space(name, space):
    found_space, embedding = load_space(space), load_embedding(name, space)
    for card in found_space.sample(1, seed=12):
        found = embedding.nearest(embedding.vector(card), k=5)
        distances = np.linalg.norm(
            embedding.vectors([found_space[int(i)] for i in found]) - embedding.vector(card), axis=1
        )
        assert (np.diff(distances) >= -1e-4).all()
        around = found_space.neighbors(card)
        nearest = np.linalg.norm(embedding.vectors(around) - embedding.vector(card), axis=1).min()
        assert distances[0] <= nearest
        assert distances[0] == pytest.approx(0, abs=1e-2)  # the card itself


def test_nearest_by_climbing_is_mostly_that_of_the_matrix(monkeypatch):
    embedding = load_embedding("t2v-g1-d16")
    points = embedding.matrix[::800] + np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32)
    expected = [embedding.nearest(x)[0] for x in points]
    monkeypatch.setattr(base, "MATRIX_LIMIT", 100)
    assert sum(embedding.nearest(x)[0] == i for x, i in zip(points, expected, strict=True)) >= 11


def test_few_cards_have_few_neighbours():
    tiny = load_space("homogeneous").where("tiny", lambda card: card.parameters < 7_500_000)
    found = transfer_neighbors(tiny[0], load_embedding("one-hot", tiny), k=1_000)
    assert len(found) == tiny.size - 1
    with pytest.raises(OptionError, match="0 neighbours"):
        transfer_neighbors(tiny[0], load_embedding("one-hot", tiny), k=0)


def test_deep_cards_have_neighbours_of_every_overlap(tmp_path):
    (tmp_path / "deep.toml").write_text(
        'name = "deep"\nlayers = [12]\nlayers_per_stack = 1\nhidden = [128]\nheads = [2]\nfeed_forward = [512]\n'
        'feed_forward_stacks = [1]\n[operations]\nSA = ["SDP"]\nLT = ["DFT", "DCT"]\n'
    )
    space = load_space(tmp_path / "deep.toml")
    assert space.size == 3**12
    (card,) = space.sample(1, seed=1)
    found = transfer_neighbors(card, load_embedding("stretched", space), k=9_000)
    counts = Counter(one.overlap for one in found)
    assert [counts[overlap] for overlap in range(11, 4, -1)] == [2, 6, 18, 54, 162, 486, 1_458]  # all there are
    assert counts[4] == counts[3] == 2_000
    assert len({one.card for one in found}) == len(found)


def test_the_cheapest_ways_come_first():
    lists = [[(0.0, "a"), (2.0, "b")], [(1.0, "c")], [(0.5, "d"), (0.7, "e"), (3.0, "f")]]
    every = sorted((sum(cost for cost, _ in way), "".join(name for _, name in way)) for way in product(*lists))
    assert ["".join(way) for way in neighbors._cheapest(lists)] == [name for _, name in every]


@pytest.mark.parametrize(
    ("x", "k"), [(np.zeros(3), 1), (np.full(16, np.nan), 1), (np.zeros(16), 2.5), (np.zeros(16), 0)]
)
def test_points_that_are_none(x, k):
    with pytest.raises(OptionError):
        load_embedding("t2v-g1-d16").nearest(x, k)
