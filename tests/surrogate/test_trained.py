import numpy as np
import pytest

from flexnas_bench import ModelCard, load_space
from flexnas_bench.answers import Score
from flexnas_bench.surrogate import Trained
from flexnas_bench.surrogate.trained import collect, repeats

TINY, MINI = ModelCard.named("bert-tiny"), ModelCard.named("bert-mini")


def score(value, replicate=0, cost=10.0):
    return Score(replicate, value, "accuracy", cost, False, "me")


def test_a_training_failed_if_one_of_its_tasks_did(bench):
    trained = bench.trained()
    assert len(trained) == 491
    assert sum(t.trainings for t in trained) == 500
    assert sum(len(t.failed_scores) for t in trained) == 16
    whole = {t.card: t for t in trained}
    for t in bench.trained("rte"):
        if t.failed_scores:
            assert t.failed_scores == (0.0,)
            assert whole[t.card].failed_scores
    assert not any(t.failed_scores for t in bench.trained("cola"))


def test_trainings_without_a_score_failed():
    cards = {card.hash: card for card in load_space("g1").sample(30, seed=0)}
    scores = {digest: {0: score(60.0 + i % 3), 1: score(float("nan"), 1)} for i, digest in enumerate(cards)}
    found = collect(cards, [scores])
    assert all(len(t.scores) == len(t.failed_scores) == 1 for t in found)
    assert all(np.isnan(t.failed_scores[0]) for t in found)
    assert found[4].fine == 61.0
    assert found[0].cost_seconds == 10.0


def test_the_variance_of_repeats_is_pooled_by_region():
    trained = [Trained(TINY, (60.0, 62.0)), Trained(TINY, (50.0, 51.0, 52.0)), Trained(MINI, (70.0,), (3.0,))]
    assert repeats(trained, np.array([2, 2, 4])) == {2: (pytest.approx((2.0 + 2.0) / 3), 3)}
    assert repeats(trained[2:], np.array([4])) == {}
