import numpy as np
import pytest
from scipy.spatial.distance import cdist

from flexnas_bench import ModelCard, NotInSpaceError, OptionError, load_embedding, load_space


@pytest.mark.parametrize("name", ["g1", "pool", "homogeneous"])
def test_one_hot_is_standardised_and_tells_cards_apart(name):
    embedding = load_embedding("one-hot", name)
    matrix = embedding.matrix
    assert matrix.shape == (load_space(name).size, embedding.dim)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(matrix.std(axis=0, dtype=np.float64), 1, atol=1e-6)
    assert len(np.unique(matrix, axis=0)) == len(matrix)


def test_rows_are_the_vectors_of_the_cards(pool):
    embedding = load_embedding("one-hot", pool)
    for i in (0, 17, 490):
        np.testing.assert_array_equal(embedding.vector(pool[i]), embedding.matrix[i])


def test_nearest_agrees_with_scipy():
    embedding = load_embedding("one-hot", "g1")
    for x in np.random.default_rng(1).normal(size=(5, embedding.dim)):
        expected = cdist(x[None].astype(np.float32), embedding.matrix)[0]
        found = embedding.nearest(x, k=20)
        np.testing.assert_allclose(expected[found], np.sort(expected)[:20], rtol=1e-5)
    assert embedding.nearest(embedding.matrix[77])[0] == 77
    with pytest.raises(OptionError):
        embedding.nearest(x, k=0)


def test_large_spaces_have_vectors_but_no_matrix():
    embedding = load_embedding("one-hot", "g3")
    vectors = np.stack([embedding.vector(card) for card in load_space("g3").sample(2_000, seed=9)])
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=0.1)
    with pytest.raises(NotInSpaceError, match="3,317,817,600"):
        _ = embedding.matrix


def test_what_it_cannot_describe_is_refused():
    embedding = load_embedding("one-hot", "g1")
    with pytest.raises(NotInSpaceError, match="24 layers"):
        embedding.vector(ModelCard.named("flexibert-large"))
    layer = ModelCard.named("flexibert-large").layers[0]
    with pytest.raises(NotInSpaceError, match="like layer 1"):
        embedding.vector(ModelCard((layer, layer)))
    with pytest.raises(OptionError, match="one-hot"):
        load_embedding("word2vec")
