"""The paper's convergence criterion (section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

TOLERANCE = 0.01  # points; 1e-4 on the paper's scale of 0 to 1
ITERATIONS = 5


def converged_at(values: Sequence[float], initial: int = 0) -> int | None:
    """The step, counted from 1, at which a search has converged; `None` if it never does.

    Performance is the best value so far. It must have changed by no more than 0.01 points (1e-4 of a score) in
    each of five iterations in a row. The evaluations of the initial set are no iterations.

    Args:
        values: value of each evaluation in points, NaN for one that failed.
        initial: size of the initial set.
    """
    return next((step for step, calm in enumerate(calm_iterations(values, initial), 1) if calm == ITERATIONS), None)


def calm_iterations(values: Sequence[float], initial: int = 0) -> Iterator[int]:
    """Number of iterations in a row without a better score, after every evaluation; arguments as of `converged_at`."""
    best, calm = -math.inf, 0
    for step, value in enumerate(values, 1):
        gain = value - best if value > best else 0.0  # a failed evaluation gains nothing
        best = value if gain else best
        calm = calm + 1 if step > initial and gain <= TOLERANCE else 0
        yield calm
