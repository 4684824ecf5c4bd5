"""What a source of jobs is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from flexnas_bench.filling.job import Job, Outcome


class Source(ABC):
    """Hands out jobs, and is told how they ended."""

    @abstractmethod
    def next(self) -> Job | None:
        """A job that can be started now; None where there is none, or none yet."""

    @abstractmethod
    def ended(self, outcome: Outcome) -> None:
        """Takes note of the end of a job that was handed out, which will not be tried again now."""

    @property
    @abstractmethod
    def more(self) -> bool:
        """Whether there may be jobs that were not handed out, also such as are not known yet."""

    @property
    @abstractmethod
    def left(self) -> Sequence[Job]:
        """Jobs that are known to be left, without those handed out."""
