"""A training to be done, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flexnas_bench.card import ModelCard


@dataclass(frozen=True)
class Job:
    """One training of one card.

    Attributes:
        card: what to train.
        tasks: that have no score yet.
        replicate: number of the training, and its seed.
        donor: card whose weights it starts from; None for a training from scratch.
    """

    card: ModelCard
    tasks: tuple[str, ...]
    replicate: int = 0
    donor: ModelCard | None = None

    @property
    def name(self) -> str:
        """Of its folder; a training from scratch and one from each donor have three different ones."""
        return folder_name(self.card, self.replicate, self.donor)


def folder_name(card: ModelCard, replicate: int, donor: ModelCard | None = None) -> str:
    """Name of the folder of a training, among others of its protocol."""
    start = f"-from-{donor.hash[:16]}" if donor else ""
    return f"{card.hash[:16]}-{replicate}{start}"


class Ending(StrEnum):
    """How a training came to an end."""

    FINISHED = "finished"
    BUSY = "busy"  # another process is at it
    MEMORY = "out of memory"  # or, on this machine, killed as the system does for want of it
    FAILED = "failed"
    DIED = "killed"  # its process, or the machine that it was on


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        job: which.
        ending: how it ended.
        seconds: that it took, here and now.
        scores: by task, of all that were asked for; NaN where a training diverged.
        init: `scratch`, or hash of the card that it has its weights from.
        why: it has no scores, in a line.
    """

    job: Job
    ending: Ending
    seconds: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    init: str = ""
    why: str = ""
