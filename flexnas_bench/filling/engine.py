"""What an engine is: somewhere to train, several cards at once."""

from __future__ import annotations

from abc import ABC, abstractmethod

from flexnas_bench.filling.job import Job, Outcome


class Engine(ABC):
    """Trains jobs somewhere; use as a context manager, and what still runs at the end is interrupted.

    An interrupted training keeps what it had finished, and goes on when its job is started again.
    """

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
    @abstractmethod
    def running(self) -> list[Job]:
        """Jobs at work, in the order in which they were started."""

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
