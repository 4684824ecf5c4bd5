import numpy as np
import pandas as pd
import pytest

from flexnas_bench.searching.analysis import best_so_far, estimate, paired_difference


def frame(**runs):
    """Runs as `name_seed=[best, ...]`."""
    rows = []
    for name, best in runs.items():
        optimizer, seed = name.rsplit("_", 1)
        rows += [{"optimizer": optimizer, "seed": int(seed), "step": i + 1, "best": b} for i, b in enumerate(best)]
    return pd.DataFrame(rows)


def test_the_interval_covers_the_true_mean_nine_times_in_ten():
    rng = np.random.default_rng(1)
    found = estimate(rng.normal(5.0, 2.0, size=(40, 1_000)))  # a thousand experiments of forty seeds at once
    covered = ((found.low < 5.0) & (found.high > 5.0)).mean()
    assert 0.86 < covered < 0.92
    np.testing.assert_allclose((found.high - found.low).mean(), 2 * 1.645 * 2 / 40**0.5, rtol=0.05)


def test_the_interval_is_repeatable_and_missing_for_one_seed():
    samples = np.random.default_rng(2).normal(size=(7, 3))
    first, again = estimate(samples), estimate(samples)
    np.testing.assert_array_equal(first.low, again.low)
    assert np.isnan(estimate(samples[:1]).low).all()
    np.testing.assert_array_equal(estimate(samples[:1]).mean, samples[0])


def test_a_run_that_stopped_keeps_its_last_value():
    table = best_so_far(frame(a_0=[1.0, 2.0, 3.0], a_1=[1.5]))
    np.testing.assert_array_equal(table.to_numpy(), [[1.0, 2.0, 3.0], [1.5, 1.5, 1.5]])
    with pytest.raises(ValueError, match="no runs of b"):
        best_so_far(frame(a_0=[1.0]), "b")


def test_differences_are_taken_seed_by_seed():
    runs = frame(a_0=[1.0, 2.0], a_1=[5.0, 6.0], a_2=[9.0, 9.0], b_1=[4.0, 6.0], b_0=[0.0, 5.0])
    np.testing.assert_array_equal(
        paired_difference(best_so_far(runs, "a"), best_so_far(runs, "b")).to_numpy(), [[1.0, -3.0], [1.0, 0.0]]
    )
