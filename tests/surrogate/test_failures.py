import numpy as np
import pytest

from flexnas_bench.results import GLUE_METRICS
from flexnas_bench.surrogate.failures import FEWEST, Failures, failed


@pytest.fixture(scope="module")
def trainings(bench):
    """The 500 published trainings: tasks as columns, by card and replicate."""
    frame = bench.to_frame(protocol="electra-owt-100k")
    return frame.pivot(index=["card_hash", "replicate"], columns="task", values="value")


def strata(bench, trainings):
    cards = [bench.card(digest) for digest, _ in trainings.index]
    return [(card.num_layers, card.layers[0].hidden) for card in cards]


def test_failures_of_the_published_trainings_are_those_of_sentence_pairs(bench, trainings):
    like = strata(bench, trainings)
    failures = {task: failed(trainings[task].to_numpy(), like) for task in GLUE_METRICS}
    assert {task for task, mask in failures.items() if not mask.any()} == {"cola", "mrpc", "sst2"}
    assert trainings["rte"][failures["rte"]].tolist() == [0.0]
    assert (trainings["stsb"][failures["stsb"]] < 70).all()
    assert (trainings["stsb"][~failures["stsb"]] > 70).all()
    assert (trainings["qnli"][failures["qnli"]] < 65).all()
    anywhere = np.any(list(failures.values()), axis=0)
    assert anywhere.sum() == 16
    assert {like[i][0] for i in np.flatnonzero(anywhere)} == {2}  # no training of four layers failed


def test_ordinary_scores_are_no_failures_and_planted_ones_are():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(70, 1, 300), rng.normal(50, 1, 300), [20.0, np.nan]])
    names = ["deep"] * 300 + ["shallow"] * 300 + ["shallow", "deep"]
    mask = failed(scores, names)
    assert np.flatnonzero(mask).tolist() == [600, 601]
    scores[0] = 50.0  # far below the deep ones, though usual among the shallow
    assert failed(scores, names)[0]


def test_a_small_stratum_has_its_own_median_and_the_deviation_of_all():
    few = np.full(FEWEST - 1, 50.0)
    scores = np.concatenate([np.linspace(69, 71, 100), few, [43.0, 10.0]])
    names = ["many"] * 100 + ["few"] * FEWEST + ["alone"]
    assert np.flatnonzero(failed(scores, names)).tolist() == [len(scores) - 2]  # weak ones are none, nor is one alone
    assert failed(np.array([np.nan]), ["x"]).tolist() == [True]


def test_probabilities_are_posterior_means_by_region():
    mask = np.array([True, True, *[False] * 48, *[False] * 99])
    regions = np.array([2] * 50 + [4] * 99)
    found = Failures.count(mask, regions, np.array([8.0, 10.0, np.nan]))
    assert found.probabilities == {2: 2.5 / 51, 4: 0.5 / 100}
    assert (found.shortfall, found.spread) == (9.0, 1.0)
    np.testing.assert_allclose(found.probability(np.array([1, 2, 4, 24])), [2.5 / 51, 2.5 / 51, 0.005, 0.005])
    none = Failures.count(np.zeros(3, dtype=bool), np.array([2, 2, 4]), np.array([]))
    assert (none.probabilities, none.shortfall) == ({2: 0.0, 4: 0.0}, 0.0)
    silent = Failures.count(mask, regions, np.array([np.nan, np.nan]))
    assert (silent.probabilities, silent.shortfall, silent.spread) == (found.probabilities, 0.0, 0.0)
