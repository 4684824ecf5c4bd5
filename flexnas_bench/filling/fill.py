"""The loop that fills a table: whenever there is room, the next job; whenever one ends, a note."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.failures import add_failure, attempts_of, failures_of, wants_to_be_alone
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.filling.source import Source

#: Seconds after which a training that another process is at, or that has failed, is asked for again.
AGAIN_SECONDS = 5.0
_POLL_SECONDS = 1.0


class Filler:
    """Lets an engine do the jobs of a source.

    A training that fails or is killed is tried again; after `attempts` since it last came further, those of earlier
    calls included, it is given up. One that runs out of memory beside others is tried again when nothing else is at
    work. One that another process is at is asked for again.

    Args:
        source: of jobs.
        engine: that does them.
        folder: of a job's training, by name.
        attempts: at a training, at most.
        seconds: after which no job is begun, and those at work are interrupted.
        tell: told of this filler about once a second.

    Attributes:
        outcomes: of jobs that have ended for good, in that order.
        started: when each job at work was started, on the clock of `time.monotonic`.
        begun: when all began.
        seconds: as given.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        folder: Callable[[str], Path],
        attempts: int = 2,
        seconds: float = math.inf,
        tell: Callable[[Filler], None] | None = None,
    ) -> None:
        self.seconds, self.outcomes, self.started, self.begun = seconds, list[Outcome](), dict[str, float](), math.nan
        self._source, self._engine, self._folder = source, engine, folder
        self._attempts, self._tell = attempts, tell
        self._again: list[tuple[float, Job]] = []  # not before that moment
        self._busy: list[tuple[float, Job]] = []  # likewise, and when the source has none
        self._alone: list[Job] = []  # with nothing else at work
        self._lonely = False  # whether one of these is at work
        self._crowded: set[str] = set()  # which had others beside them

    def run(self) -> list[Outcome]:
        """Goes on until nothing is left, or time is up; returns how jobs ended, without those that go on later."""
        self.begun = time.monotonic()
        while time.monotonic() - self.begun < self.seconds:
            self._start()
            if self._engine.running:
                for outcome in self._engine.wait(_POLL_SECONDS):
                    self._end(outcome)
            elif self.waiting or (self._source.more and not self._engine.free):
                time.sleep(_POLL_SECONDS)  # others are at it, or no machine is there, which may change
            else:
                break
            if self._tell is not None:
                self._tell(self)
        if self._tell is not None:
            self._tell(self)
        return self.outcomes

    @property
    def waiting(self) -> Sequence[Job]:
        """Jobs known to be left, without those at work."""
        return [*self._source.left, *(job for _, job in (*self._again, *self._busy)), *self._alone]

    @property
    def left(self) -> int:
        """Number of jobs known to be left, with those at work."""
        return len(self.waiting) + len(self._engine.running)

    def _start(self) -> None:
        """Starts jobs while there is room for them."""
        while self._engine.free and not self._lonely and (job := self._next()) is not None:
            tried = failures_of(self._folder(job.name))
            if attempts_of(tried) >= self._attempts:
                self._close(Outcome(job, Ending(tried[-1]["ending"]), why=f"given up: {tried[-1]['why']}"))
            elif wants_to_be_alone(tried) and self._engine.running:
                self._alone.append(job)
            else:
                self._lonely = wants_to_be_alone(tried)
                self._begin(job)

    def _begin(self, job: Job) -> None:
        self._engine.start(job)
        self.started[job.name] = time.monotonic()
        if len(self.started) > 1:
            self._crowded |= self.started.keys()

    def _next(self) -> Job | None:
        """What is to be tried again, else the source's next, else what another process was at.

        One that wants to be alone gets its turn when the source knows of no job that is left; an optimizer is then not
        asked until it has ended.
        """
        if job := _due(self._again):
            return job
        if self._alone and not self._source.left:
            return None if self._engine.running else self._alone.pop(0)
        return self._source.next() or _due(self._busy)

    def _end(self, outcome: Outcome) -> None:
        """Notes an end, and whether that was all."""
        name = outcome.job.name
        alone = name not in self._crowded
        del self.started[name]
        self._crowded.discard(name)
        self._lonely = False
        if outcome.ending == Ending.FINISHED:
            self._close(outcome)
            return
        again = (time.monotonic() + AGAIN_SECONDS, outcome.job)
        if outcome.ending == Ending.BUSY:
            self._busy.append(again)
            return
        add_failure(self._folder(name), outcome, alone)
        if attempts_of(failures_of(self._folder(name))) >= self._attempts:
            self._close(outcome)
        else:
            self._again.append(again)

    def _close(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self._source.ended(outcome)


def _due(waiting: list[tuple[float, Job]]) -> Job | None:
    """Takes the first whose moment has come."""
    found = next((one for one in waiting if one[0] <= time.monotonic()), None)
    if found is None:
        return None
    waiting.remove(found)
    return found[1]
