"""The loop that fills a table: whenever there is room, the next job; whenever one ends, a note."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.failures import add_failure, failures_of
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.filling.source import Source

#: Seconds after which a training that another process is at is asked for again.
BUSY_SECONDS = 10.0
_POLL_SECONDS = 1.0


@dataclass
class Filling:
    """How far it has come.

    Attributes:
        outcomes: of jobs that have ended for good, in that order.
        started: when each job at work was started, on the clock of `time.monotonic`.
        begun: when all began.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    started: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)


class Filler:
    """Lets an engine do the jobs of a source.

    A training that fails or is killed is tried again, one that runs out of memory when nothing else is at work; after
    `attempts` in all, those of earlier calls included, it is given up. One that another process is at is asked for
    again.

    Args:
        source: of jobs.
        engine: that does them.
        folder: of a job's training, by name.
        attempts: at a training, at most.
        seconds: after which no job is begun, and those at work are interrupted.
        tell: told of the state about once a second.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        folder: Callable[[str], Path],
        attempts: int = 2,
        seconds: float = math.inf,
        tell: Callable[[Filling], None] | None = None,
    ) -> None:
        self._source, self._engine, self._folder = source, engine, folder
        self._attempts, self._seconds, self._tell = attempts, seconds, tell
        self._again: list[tuple[float, Job]] = []  # not before that moment
        self._last: list[Job] = []  # with nothing else at work
        self._lonely = False  # whether one of these is at work
        self.state = Filling()

    def run(self) -> list[Outcome]:
        """Goes on until nothing is left, or time is up; returns how jobs ended, without those that go on later."""
        while time.monotonic() - self.state.begun < self._seconds:
            self._start()
            if self._engine.running:
                for outcome in self._engine.wait(_POLL_SECONDS):
                    self._end(outcome)
            elif self.left:  # others are at it, or no machine is there, which may change
                time.sleep(_POLL_SECONDS)
            else:
                break
            if self._tell is not None:
                self._tell(self.state)
        return self.state.outcomes

    @property
    def left(self) -> int:
        """Number of jobs known to be left, with those at work."""
        return len(self._source.left) + len(self._engine.running) + len(self._again) + len(self._last)

    def _start(self) -> None:
        """Starts jobs while there is room for them."""
        while self._engine.free and not self._lonely and (job := self._next()) is not None:
            tried = failures_of(self._folder(job.name))
            if len(tried) >= self._attempts:
                self._close(Outcome(job, Ending(tried[-1]["ending"]), why=f"given up: {tried[-1]['why']}"))
                continue
            self._engine.start(job)
            self.state.started[job.name] = time.monotonic()

    def _next(self) -> Job | None:
        """What is to be tried again and due, else the source's next, else one that wants to be alone."""
        due = next((one for one in self._again if one[0] <= time.monotonic()), None)
        if due is not None:
            self._again.remove(due)
            return due[1]
        job = self._source.next()
        if job is None and self._last and not self._engine.running and not self._again:
            self._lonely = True
            return self._last.pop(0)
        return job

    def _end(self, outcome: Outcome) -> None:
        """Notes an end, and whether that was all."""
        del self.state.started[outcome.job.name]
        self._lonely = False
        if outcome.ending == Ending.FINISHED:
            self._close(outcome)
        elif outcome.ending == Ending.BUSY:
            self._again.append((time.monotonic() + BUSY_SECONDS, outcome.job))
        elif add_failure(self._folder(outcome.job.name), outcome) >= self._attempts:
            self._close(outcome)
        elif outcome.ending == Ending.MEMORY:
            self._last.append(outcome.job)
        else:
            self._again.append((0.0, outcome.job))

    def _close(self, outcome: Outcome) -> None:
        self._lonely = False
        self.state.outcomes.append(outcome)
        self._source.ended(outcome)
