"""What a worker does, on this machine or another: one training, and a word on how it ended."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.errors import BusyError, DataError, FlexnasError, OptionError, first_line
from flexnas_bench.filling.job import Ending, Job, Outcome, folder_name
from flexnas_bench.filling.known import Trainings
from flexnas_bench.modeling.folder import quiet_libraries
from flexnas_bench.store import Store
from flexnas_bench.training.backend import Backend
from flexnas_bench.training.materials import Materials
from flexnas_bench.training.protocol import Protocol, load_protocol
from flexnas_bench.training.provenance import pick_device
from flexnas_bench.training.recipe import digest

#: Folder of trainings in a store.
TRAININGS = "trainings"
#: How torch and the libraries below it say that memory did not do; some of it is no `torch.OutOfMemoryError`.
_SHORT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


@dataclass(frozen=True)
class Work:
    """How a table is filled; the same for all workers.

    Attributes:
        protocol: name of a recipe that can be run, or a TOML file with one.
        store: folder that scores go to; trainings are in a folder in it.
        data: folder of data, see `training.materials.Materials`.
        device: to train on.
        overlap: fraction of its layers that a card must share with its donor.
    """

    protocol: str
    store: Path
    data: Path | None = None
    device: str = "auto"
    overlap: float = THRESHOLD

    @cached_property
    def recipe(self) -> Protocol:
        """The protocol, read."""
        return load_protocol(self.protocol)

    @cached_property
    def trainings(self) -> Path:
        """Folder of the trainings of the protocol."""
        return self.store / TRAININGS / f"{self.recipe.name}-{self.recipe.hash[:8]}"

    @property
    def folders(self) -> Trainings:
        """What there is of them."""
        return Trainings(self.trainings, digest(self.recipe.pretraining))

    def folder(self, name: str) -> Path:
        """Of a training, by its name."""
        return self.trainings / name

    @cached_property
    def backend(self) -> Backend:
        """Who trains; keeps the data that it has read."""
        quiet_libraries()
        return Backend(self.recipe, self.data, Store(self.store), pick_device(self.device), self.overlap)

    def prepare(self, tasks: Iterable[str]) -> None:
        """Makes the store, and raises what is wrong with it, the protocol or the data before anything is started."""
        materials = Materials(self.recipe, self.data)
        for task in tasks:
            materials.task(task)
        if self.recipe.pretraining.steps:
            materials.check_text()
        Store(self.store).describe(self.recipe.name, self.recipe.facts, self.recipe.hash)

    def train(self, job: Job) -> Outcome:
        """Does a job, or goes on with it.

        Raises:
            FlexnasError: the store or data are missing or damaged, an option is wrong: no job would fare better.
            OSError: likewise, of a full disk.
        """
        started = time.monotonic()
        Store(self.store).check()  # which `prepare` made: a machine that does not see it must not make another
        try:
            rows = self.backend.train(
                job.card, job.tasks, self.folder(job.name), job.replicate, self._donors(job), must_transfer=True
            )
        except Exception as error:
            if _concerns_all(error):
                raise
            return Outcome(job, _ending(error), time.monotonic() - started, why=_why(error))
        scores = {task: value for row in rows for task, value in row.scores.items()}
        notes = {row.note for row in rows if row.note and any(map(math.isnan, row.scores.values()))}
        return Outcome(job, Ending.FINISHED, time.monotonic() - started, scores, rows[0].init, "; ".join(sorted(notes)))

    def _donors(self, job: Job) -> list[Path]:
        return [] if job.donor is None else [self.folder(folder_name(job.donor, job.replicate))]


def _concerns_all(error: Exception) -> bool:
    """Whether an error would meet every job."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or isinstance(error, DataError | OptionError)


def _ending(error: Exception) -> Ending:
    if isinstance(error, BusyError):
        return Ending.BUSY
    short = isinstance(error, RuntimeError) and any(words in str(error) for words in _SHORT_OF_MEMORY)
    return Ending.MEMORY if short or isinstance(error, MemoryError) else Ending.FAILED


def _why(error: Exception) -> str:
    named = "" if isinstance(error, FlexnasError) else f"{type(error).__name__}: "
    return named + first_line(error)


@lru_cache(maxsize=1)
def kept(work: Work) -> Work:
    """The same work as before in this process, with what it has read."""
    return work


def train(work: Work, job: Job) -> Outcome:
    """Does a job in a process that does many."""
    return kept(work).train(job)
