"""How the benchmarks time things."""

import statistics
import time
from collections.abc import Callable

REPEATS = 7


def median_seconds(work: Callable[[], object], items: int = 1) -> float:
    """Median time of several runs after a warm-up, for each of the items that a run works through."""
    work()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) / items
