import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench.errors import DataError
from flexnas_bench.training.batches import MASK, MaskedBatches, by_length, in_order, padded
from flexnas_bench.training.corpus import Corpus

CORPUS = Corpus((np.arange(10, 1010, dtype=np.uint16) % 40_000,))


def batches(seed=0, length=12, size=4, **options):
    return MaskedBatches(CORPUS, length, size, seed, 50_265, **options)


def test_a_round_has_every_block_once():
    found = batches()
    assert found.blocks == 100
    firsts = []
    for number in range(25):
        ids, labels = found[number]
        whole = torch.where(labels == -100, ids, labels)
        assert (whole[:, 0] == 0).all()
        assert (whole[:, -1] == 2).all()
        assert (whole[:, 2:-1] - whole[:, 1:-2] == 1).all()  # neighbours in the text
        firsts += whole[:, 1].tolist()
    assert sorted(firsts) == list(range(10, 1010, 10))


def test_rounds_are_in_another_order_with_other_masks():
    found = batches(size=100)
    (first, labels), (second, others) = found[0], found[1]
    assert not torch.equal(first, second)
    assert not torch.equal(labels == -100, others == -100)
    a, b = (torch.where(told == -100, ids, told)[:, 1] for ids, told in ((first, labels), (second, others)))
    assert not torch.equal(a, b)
    assert torch.equal(a.sort().values, b.sort().values)


@given(number=st.integers(0, 10**6), seed=st.integers(0, 100))
def test_a_batch_is_a_function_of_its_number_and_the_seed(number, seed):
    first, second = batches(seed)[number], batches(seed)[number]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_masks_are_those_of_roberta():
    """Shares of a million tokens, each within five standard deviations."""
    found = MaskedBatches(Corpus((np.full(10**6, 777, dtype=np.uint16),)), 1002, 1000, 0, 50_265)
    ids, labels = found[0]
    inner, told = ids[:, 1:-1], labels[:, 1:-1] != -100
    assert (labels[:, [0, -1]] == -100).all()
    assert (labels[:, 1:-1][told] == 777).all()
    assert (inner[~told] == 777).all()
    n = told.sum().item()
    for share, expected, count in (
        (told.double().mean(), 0.15, 10**6),
        ((inner[told] == MASK).double().mean(), 0.8, n),
        ((inner[told] == 777).double().mean(), 0.1, n),
    ):
        assert abs(share - expected) < 5 * (expected * (1 - expected) / count) ** 0.5
    random = inner[told & (inner != MASK) & (inner != 777)]
    assert random.min() >= 3
    assert random.max() < MASK
    assert len(random.unique()) > 10_000


def test_marks_are_never_to_be_told():
    found = MaskedBatches(Corpus((np.array([2, 5] * 50, dtype=np.uint16),)), 12, 10, 0, 50_265, masked=1.0)
    ids, labels = found[0]
    assert ((labels == 5) | (labels == -100)).all()
    assert (ids == 2).sum() == 10 * 6


def test_a_corpus_must_fill_a_batch():
    with pytest.raises(DataError, match="1,000 tokens, fewer than a batch of 101"):
        batches(size=101)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=300),
    size=st.integers(1, 16),
    seed=st.integers(0, 50),
    pool=st.integers(1, 8),
)
def test_batches_by_length_have_every_example_once(lengths, size, seed, pool):
    found = by_length(lengths, size, seed, 0, pool)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in found)
    assert sum(len(batch) < size for batch in found) <= 1
    again = by_length(lengths, size, seed, 0, pool)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))


def test_batches_by_length_waste_little_and_change_from_round_to_round():
    lengths = np.random.default_rng(0).integers(4, 120, 4000).tolist()

    def waste(found):
        return sum(len(batch) * max(lengths[i] for i in batch) for batch in found) / sum(lengths)

    bucketed, plain = by_length(lengths, 32, 0, 0), np.array_split(np.random.default_rng(0).permutation(4000), 125)
    assert waste(bucketed) < 1.1 < 1.7 < waste(plain)
    assert not all((a == b).all() for a, b in zip(bucketed, by_length(lengths, 32, 0, 1), strict=True))
    longest = [max(lengths[i] for i in batch) for batch in bucketed]
    assert longest != sorted(longest)


def test_a_look_at_all_goes_by_length():
    found = list(in_order([5, 1, 3, 2, 4], 2))
    assert [batch.tolist() for batch in found] == [[1, 3], [2, 4], [0]]


def test_sentences_are_padded_on_the_right():
    ids, mask = padded([[0, 7, 2], [0, 8, 9, 2]])
    assert ids.tolist() == [[0, 7, 2, 1], [0, 8, 9, 2]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
