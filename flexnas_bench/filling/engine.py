"""What an engine is: somewhere to train, several cards at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from flexnas_bench.filling.job import Job, Outcome


class Engine(ABC):
    """Trains jobs somewhere; use as a context manager, and what still runs at the end is interrupted.

    An interrupted training keeps what it had finished, and goes on when its job is started again.
    """

    def __init__(self) -> None:
        self._jobs: dict[Any, Job] = {}  # at work, by what the engine knows them by

    @property
    @abstractmethod
    def free(self) -> bool:
        """Whether there is room for one more job."""

    @abstractmethod
    def start(self, job: Job) -> None:
        """Begins with a job, for which there is room."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Outcome]:
        """Jobs that have ended since, after so long at most; raises what is a mistake of the user's."""

    @property
    def running(self) -> list[Job]:
        """Jobs at work, or waiting for a machine, in the order in which they were started."""
        return list(self._jobs.values())

    @property
    @abstractmethod
    def where(self) -> str:
        """What it trains on, in words."""

    @abstractmethod
    def close(self) -> None:
        """Interrupts what still runs, and lets go of everything."""

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
