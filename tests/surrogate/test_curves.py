import numpy as np
import pytest
from scipy.stats import theilslopes

from flexnas_bench import ModelCard, NotMeasuredError, load_space
from flexnas_bench.surrogate import CurveSurrogate

CURVE = "electra-owt-1m-step-{}k"


def test_a_line_that_was_planted_is_found_in_spite_of_failures(bench, pool):
    base = bench.surrogate()
    cards = list(pool)[:20]
    rng = np.random.default_rng(0)
    scores = 10 + 0.9 * np.array([base.held_out(card) for card in cards]) + 0.01 * rng.standard_normal(20)
    scores[[3, 11]] -= 15
    found = CurveSurrogate(base, cards, scores.tolist(), 3.0, name="planted")
    assert found.slope == pytest.approx(0.9, abs=0.02)
    new = load_space("g1").sample(50, seed=2)
    truth = 10 + 0.9 * base.predict(new).mean
    assert np.abs(found.predict(new).mean - truth).max() < 0.1
    assert np.sort(np.abs(found.errors))[:-2].max() < 0.2
    assert np.sort(found.errors)[-2:] == pytest.approx([15, 15], abs=0.2)
    assert found.noise == pytest.approx(1.4826 * np.median(np.abs(found.errors)), abs=1e-6)
    shallow = ModelCard.named("bert-tiny")
    about = found.predict([shallow])
    draws = np.array([found.draw(shallow, seed) for seed in range(1_500)])
    assert draws.mean() == pytest.approx(about.mean[0], abs=4 * about.aleatoric_std[0] / 1_500**0.5)
    assert draws.std() == pytest.approx(about.aleatoric_std[0], rel=0.1)
    failed = draws < about.mean[0] - base.failures.shortfall / 2
    assert failed.mean() == pytest.approx(base.failures.probabilities[2], abs=0.02)
    lacking = (about.mean[0] + about.failure_probability[0] * 0.9 * base.failures.shortfall) - draws[failed].mean()
    assert lacking == pytest.approx(0.9 * base.failures.shortfall, rel=0.05)


def test_checkpoints_of_the_published_curves(bench):
    base = bench.surrogate()
    early, late = (bench.surrogate("glue8", CURVE.format(steps)) for steps in (0, 1000))
    assert abs(early.slope) < 0.3  # nothing can be told before pre-training
    assert 0.9 < late.slope < 1.4
    assert np.median(np.abs(late.errors)) < 1
    digests = list(bench.hashes("glue8", CURVE.format(1000)))
    x = [base.held_out(bench.card(digest)) for digest in digests]
    y = bench.query_many(digests, "glue8", CURVE.format(1000))
    assert late.slope == pytest.approx(theilslopes(y, x).slope, abs=1e-5)
    assert late.intercept == pytest.approx(np.median(y - late.slope * np.array(x)), abs=1e-4)
    answer = bench.query("flexibert-mini", protocol=CURVE.format(300), kind="auto")
    assert answer.origin == "predicted"
    assert answer.protocol == CURVE.format(300)
    once, thrice = (bench.query("bert-mini", protocol=p, kind="surrogate") for p in (None, CURVE.format(300)))
    assert 2.9 < thrice.cost_seconds / once.cost_seconds < 3  # three times the pre-training, one fine-tuning
    known = bench.query(digests[0], protocol=CURVE.format(300), kind="auto")
    assert known.origin == "published"


def test_too_few_cards_are_no_curve(bench, pool):
    with pytest.raises(NotMeasuredError, match="10 scored cards; there are 9"):
        CurveSurrogate(bench.surrogate(), list(pool)[:10], [60.0] * 9 + [float("nan")], 1.0)
    assert ModelCard.named("bert-mini") in bench.surrogate("rte", CURVE.format(500)).space
