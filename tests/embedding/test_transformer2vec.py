"""The shipped vectors against the distances they follow, and vectors of cards that were not learned."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist

from flexnas_bench import ModelCard, NotInSpaceError, OptionError, TableCorruptError, load_embedding, load_space
from flexnas_bench.distance.alignment import alignment_distances
from flexnas_bench.distance.outline import node_distances
from flexnas_bench.distance.pairs import ged_bounds
from flexnas_bench.embedding.loading import LEARNED
from flexnas_bench.embedding.scaling import place, scale
from flexnas_bench.embedding.transformer2vec import SCHEMA, write_vectors
from flexnas_bench.storage import read_parquet, shipped_path, write_parquet

G1 = load_space("g1")
#: Mean squared errors over all 43,352,016 pairs, as `flexnas-bench embed` tells them, and the test's tolerance.
ERRORS = {"t2v-g1-d16": 39.73, "t2v-ordered-g1-d16": 167.36}


def given_distances(name, cards, others):
    if "ordered" in name:
        return alignment_distances(cards, others)
    some = [others[i : i + 500] for i in range(0, len(others), 500)]  # or all pairs among the others would be made too
    return np.hstack([ged_bounds([*cards, *part])[0][: len(cards), len(cards) :] for part in some])


@pytest.mark.parametrize("name", LEARNED)
def test_the_table_has_every_card_in_order(name):
    table = read_parquet(shipped_path(f"embeddings/{name}.parquet"), SCHEMA)
    rows = [*range(0, 9_312, 311)]
    assert len(table) == G1.size
    assert table["hash"].take(rows).to_pylist() == [G1[i].hash for i in rows]
    embedding = load_embedding(name)
    assert embedding.dim == 16
    assert embedding.matrix.shape == (9_312, 16)
    np.testing.assert_array_equal(embedding.matrix[rows], table["vector"].take(rows).to_pylist())
    np.testing.assert_array_equal(embedding.vector(G1[311]), embedding.matrix[311])
    np.testing.assert_allclose(embedding.matrix.mean(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize("name", LEARNED)
def test_the_shipped_vectors_follow_the_distances(name):
    """A subset of what `embed` minimises: the error of 400 cards to all pairs among them is that of the whole."""
    rows = np.sort(np.random.default_rng(5).permutation(G1.size)[:400])
    cards, vectors = [G1[int(i)] for i in rows], load_embedding(name).matrix[rows]
    error = np.square(cdist(vectors, vectors) - given_distances(name, cards, cards)).sum() / (400 * 399)
    assert error == pytest.approx(ERRORS[name], rel=0.08)


@pytest.mark.parametrize("name", LEARNED)
def test_the_shipped_vectors_lie_where_embed_puts_them(name):
    """In the minimum no card gains by moving: placed anew by its distances to all others, it is hardly better off."""
    embedding = load_embedding(name)
    some = G1.sample(12, seed=6)
    others = [card for card in G1 if card not in some]
    given, landmarks = given_distances(name, some, others), embedding.vectors(others)

    def error(vectors):
        return np.square(cdist(vectors, landmarks) - given).mean(axis=1)

    assert (error(embedding.vectors(some)) <= 1.01 * error(place(given, landmarks))).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNED)
def test_embed_makes_the_shipped_vectors(name):
    given = given_distances(name, list(G1), list(G1)) if "ordered" in name else ged_bounds(G1)[0]
    np.testing.assert_allclose(scale(given, 16).points, load_embedding(name).matrix, atol=0.05)


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("space", ["g2", "g3", "pool"])
def test_cards_that_were_not_learned_have_vectors(name, space):
    embedding = load_embedding(name, space)
    cards = load_space(space).sample(20, seed=8)
    vectors = embedding.vectors(cards)
    np.testing.assert_allclose(vectors[3], embedding.vector(cards[3]), atol=1e-2)
    landmarks = G1.sample(300, seed=9)
    given = alignment_distances(cards, landmarks) if "ordered" in name else node_distances(cards, landmarks)
    apart = cdist(vectors, load_embedding(name).vectors(landmarks))
    assert np.corrcoef(apart.ravel(), given.ravel())[0, 1] > 0.93


def test_a_card_of_g1_has_one_vector_in_every_space():
    card = ModelCard.named("bert-mini")
    for space in ("g1", "g2", "g3", "homogeneous"):
        np.testing.assert_array_equal(
            load_embedding("t2v-g1-d16", space).vector(card), load_embedding("t2v-g1-d16").vector(card)
        )


def test_cards_with_other_blocks_have_none():
    with pytest.raises(NotInSpaceError, match="no index"):
        load_embedding("t2v-g1-d16").vector(ModelCard.named("flexibert-large"))


def test_features_keep_the_ratios_of_distances():
    embedding = load_embedding("t2v-g1-d16", "homogeneous")
    before, after = (cdist(m[:20], m[:20]) for m in (embedding.matrix, embedding.features))
    np.testing.assert_allclose(after / after.max(), before / before.max(), atol=1e-5)
    assert embedding.features.std() == pytest.approx(1, rel=1e-4)


@pytest.fixture
def mine(tmp_path):
    """A table of three-dimensional vectors of the homogeneous space."""
    small = load_space("homogeneous")
    points = np.random.default_rng(0).normal(size=(small.size, 3)).astype(np.float32)
    write_vectors(tmp_path / "mine.parquet", small, "alignment", points, cdist(points, points).astype(np.float32))
    return tmp_path / "mine.parquet", small, points


def test_tables_of_ones_own(mine):
    path, _, points = mine
    embedding = load_embedding(str(path), "homogeneous")
    assert embedding.name == "mine"
    np.testing.assert_array_equal(embedding.matrix, points)
    assert load_embedding(str(path), "pool").matrix.shape == (491, 3)
    own = load_space("pool").where("own", lambda card: card.num_layers == 2)
    write_vectors(path, own, "ged", np.ones((own.size, 2), np.float32), np.zeros((own.size, own.size), np.float32))
    assert load_embedding(str(path), own).matrix.tolist() == [[1, 1]] * own.size


def rows_changed(table, change):
    rows = table.to_pylist()
    change(rows)
    return pa.Table.from_pylist(rows, schema=table.schema)


def set_nan(rows):
    rows[3]["vector"][1] = float("nan")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.slice(0, 100), "not one finite vector for each card"),
        (lambda table: rows_changed(table, list.reverse), "row 1: not the card"),
        (lambda table: rows_changed(table, set_nan), "not one finite vector"),
        (lambda table: rows_changed(table, lambda rows: [r.update(vector=[]) for r in rows]), "not one finite vector"),
        (lambda table: table.replace_schema_metadata({"space": "homogeneous", "distance": "nothing"}), "no table"),
        (lambda table: table.replace_schema_metadata({b"\xff": b"\xfe"}), "no table of vectors"),
        (lambda table: table.replace_schema_metadata(None), "no table of vectors"),
        (lambda table: pa.table({"hash": ["a"]}), "no table of vectors"),
    ],
)
def test_a_spoiled_table_is_named(mine, change, reason):
    path, small, _ = mine
    write_parquet(path, change(read_parquet(path)))
    with pytest.raises(TableCorruptError, match=reason) as caught:
        load_embedding(str(path), small)
    assert "mine.parquet" in str(caught.value)


def test_cards_of_a_spoiled_table(tmp_path):
    own = load_space("pool").where("own", lambda card: card.num_layers == 2)
    path = tmp_path / "own.parquet"
    write_vectors(path, own, "ged", np.ones((own.size, 2), np.float32), np.zeros((own.size, own.size), np.float32))
    for text in ("{}", own[1].to_json()):  # no card; one that is there twice
        write_parquet(path, rows_changed(read_parquet(path), lambda rows, text=text: rows[0].update(card=text)))
        with pytest.raises(TableCorruptError, match=r"own\.parquet"):
            load_embedding(str(path), own)
    path.write_bytes(b"PAR1")
    with pytest.raises(TableCorruptError):
        load_embedding(str(path))
    for name in ("t2v-g4", None, 3):
        with pytest.raises(OptionError, match=r"file\.parquet of `embed`"):
            load_embedding(name)


@pytest.mark.parametrize("name", LEARNED)
def test_vectors_do_not_depend_on_who_is_asked_for_with_them(name):
    cards = load_space("g3").sample(8, seed=2)
    embedding = load_embedding(name, "g3")
    one_by_one = [embedding.vector(card) for card in cards]
    np.testing.assert_allclose(embedding.vectors(cards), one_by_one, atol=1e-3)
    alone = embedding.vectors([])
    assert alone.shape == (0, 16)


def test_node_parts_do_not_see_the_order_of_layers():
    embedding, (card,) = load_embedding("t2v-g1-d16", "g3"), load_space("g3").sample(1, seed=4)
    turned = ModelCard(card.layers[::-1])
    np.testing.assert_array_equal(*embedding.vectors([card, turned]))
    ordered = load_embedding("t2v-ordered-g1-d16", "g3").vectors([card, turned])
    assert np.linalg.norm(ordered[0] - ordered[1]) > 1
