import math

import pytest

from flexnas_bench.optimizers.convergence import converged_at


@pytest.mark.parametrize(
    ("values", "initial", "step"),
    [
        ([], 0, None),
        ([70.0] * 5, 0, None),  # the first evaluation is a change
        ([70.0] * 6, 0, 6),
        ([70.0, 69.0, 60.0, 70.0, 50.0, 70.005], 0, 6),
        ([70.0, 70.0, 70.0, 70.0, 70.0, 70.02, 1.0, 1.0, 1.0, 1.0, 1.0], 0, 11),
        ([70.0] * 14, 10, None),
        ([70.0] * 15, 10, 15),
        ([math.nan] * 3 + [70.0] + [math.nan] * 5, 0, 9),
        ([-1.0, -2.0, -3.0, -4.0, -5.0, -6.0], 0, 6),
        ([float(v) for v in range(50)], 0, None),
    ],
)
def test_five_calm_iterations_in_a_row(values, initial, step):
    assert converged_at(values, initial) == step
