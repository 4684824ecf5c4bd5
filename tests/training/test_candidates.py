import dataclasses

import numpy as np
import pytest
import torch

from flexnas_bench.training.candidates import Candidates
from flexnas_bench.training.corpus import Corpus
from flexnas_bench.training.vocabulary_loss import vocabulary_loss
from tests.training.test_pretraining import state, trainer
from tests.training.test_vocabulary_loss import inputs

WORDS = 60


@pytest.fixture
def candidates():
    """Of a corpus where word i is as frequent as 1 / (i + 1)."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, WORDS + 1)
    text = rng.choice(WORDS, 5_000, p=share / share.sum()).astype(np.uint16)
    return Candidates.of(Corpus((text[:2_000], text[2_000:])), WORDS, 8, 0)


def test_shares_are_those_of_the_corpus(candidates):
    assert candidates.shares.sum() == pytest.approx(1)
    assert candidates.shares[0] == pytest.approx(1 / sum(1 / i for i in range(1, WORDS + 1)), rel=0.1)


def test_those_to_be_told_are_among_them(candidates):
    told = torch.tensor([3, 50, 3, 0, 59])
    words, logs, places = candidates.draw(5, told)
    assert torch.equal(words[places], told)
    assert len(set(words.tolist())) == len(words) <= 8 + 4
    assert (logs < 0).all()
    again = candidates.draw(5, told)
    assert all(map(torch.equal, (words, logs, places), again))
    assert not torch.equal(words, candidates.draw(6, told)[0])


def test_each_counts_by_how_often_it_is_among_them(candidates):
    """Over many batches, a word is among the candidates as often as is said of it."""
    rng, times, said = np.random.default_rng(1), np.zeros(WORDS), np.zeros(WORDS)
    for step in range(3_000):
        told = torch.from_numpy(rng.choice(WORDS, 10, p=candidates.shares))
        words, logs, _ = candidates.draw(step, told)
        times[words.numpy()] += 1
        said[words.numpy()] = logs.exp().numpy()
    np.testing.assert_allclose(times / 3_000, said, atol=0.04)


def test_sums_over_the_vocabulary_are_right_on_average(candidates):
    states, weight, bias, _ = inputs(10, 4, WORDS)
    rng = np.random.default_rng(2)
    sums = []
    for step in range(2_000):
        told = torch.from_numpy(rng.choice(WORDS, 10, p=candidates.shares))
        words, logs, _ = candidates.draw(step, told)
        sums.append((states[:1] @ weight[words].T + bias[words] - logs).exp().sum().item())
    exact = (states[:1] @ weight.T + bias).exp().sum().item()
    assert np.mean(sums) == pytest.approx(exact, rel=0.03)


def test_with_every_word_it_is_the_exact_loss(candidates):
    whole = dataclasses.replace(candidates, count=WORDS)
    states, weight, bias, labels = inputs(10, 4, WORDS)
    words, logs, places = whole.draw(0, labels)
    found = vocabulary_loss(states, weight[words], bias[words] - logs, places, logs[places])
    torch.testing.assert_close(found, vocabulary_loss(states, weight, bias, labels))


def test_a_model_is_trained_on_them(tmp_path):
    exact, some = trainer(tmp_path / "exact"), trainer(tmp_path / "some", candidates=50_265)
    few = trainer(tmp_path / "few", candidates=500)
    for one in (exact, some, few):
        one.run()
    torch.testing.assert_close(state(some), state(exact), atol=1e-4, rtol=1e-3)
    assert few.losses[0] == pytest.approx(exact.losses[0], abs=0.3)
