"""A simulated cluster: workers that train one card each, and a clock that runs from one finished card to the next."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any


class Cluster:
    """An event queue of evaluations (the workers of Algorithm 1), in simulated seconds.

    >>> cluster = Cluster(workers=2)
    >>> cluster.start({"step": 1}, 30.0), cluster.start({"step": 2}, 10.0), cluster.free
    (30.0, 10.0, False)
    >>> cluster.wait(), cluster.now
    ({'step': 2}, 10.0)
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.now = 0.0
        self._running: list[tuple[float, int, dict[str, Any]]] = []

    @property
    def free(self) -> bool:
        """Whether a worker waits for work."""
        return len(self._running) < self.workers

    @property
    def busy(self) -> bool:
        """Whether any worker is at work."""
        return bool(self._running)

    def start(self, record: dict[str, Any], seconds: float) -> float:
        """Gives an evaluation, whose `step` is the order of asking, to a free worker; returns when it will end."""
        finished_at = self.now + seconds
        heappush(self._running, (finished_at, record["step"], record))
        return finished_at

    def wait(self) -> dict[str, Any]:
        """The evaluation that ends next, of equal ones the first asked; it is that time now."""
        self.now, _, record = heappop(self._running)
        return record
