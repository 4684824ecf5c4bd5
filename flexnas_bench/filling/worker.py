"""What a worker does, on this machine or another: one training, and a word on how it ended."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from transformers.utils import logging

from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.errors import BusyError, FlexnasError, first_line
from flexnas_bench.filling.job import Ending, Job, Outcome, folder_name
from flexnas_bench.store import Store
from flexnas_bench.training.backend import Backend
from flexnas_bench.training.protocol import load_protocol
from flexnas_bench.training.provenance import pick_device

#: Folder of trainings in a store.
TRAININGS = "trainings"


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
    def trainings(self) -> Path:
        """Folder of the trainings of the protocol."""
        return self.store / TRAININGS / load_protocol(self.protocol).hash[:8]

    def folder(self, name: str) -> Path:
        """Of a training, by its name."""
        return self.trainings / name

    @cached_property
    def backend(self) -> Backend:
        """Who trains; keeps the data that it has read."""
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        return Backend(
            load_protocol(self.protocol), self.data, Store(self.store), pick_device(self.device), self.overlap
        )

    def prepare(self, tasks: Iterable[str]) -> None:
        """Makes the store, and raises what is wrong with it, the protocol or the data before anything is started."""
        protocol = self.backend.protocol
        for task in tasks:
            self.backend.materials.task(task)
        Store(self.store).describe(protocol.name, protocol.facts, protocol.hash)

    def train(self, job: Job) -> Outcome:
        """Does a job, or goes on with it.

        Raises:
            FlexnasError: a mistake of the user's, or data that is missing or damaged: no job would fare better.
            OSError: likewise, such as a full disk.
        """
        started = time.monotonic()
        donors = [] if job.donor is None else [self.folder(folder_name(job.donor, job.replicate))]
        ending, why = Ending.FINISHED, ""
        Store(self.store).check()  # which `prepare` made: a machine that does not see it must not make another
        try:
            rows = self.backend.train(job.card, job.tasks, self.folder(job.name), job.replicate, donors)
        except BusyError:
            ending = Ending.BUSY
        except (MemoryError, torch.OutOfMemoryError) as error:
            ending, why = Ending.MEMORY, first_line(error)
        except (FlexnasError, OSError):
            raise
        except Exception as error:
            ending, why = Ending.FAILED, f"{type(error).__name__}: {first_line(error)}"
        if ending != Ending.FINISHED:
            return Outcome(job, ending, time.monotonic() - started, why=why)
        scores = {task: value for row in rows for task, value in row.scores.items()}
        notes = {row.note for row in rows if row.note and any(map(math.isnan, row.scores.values()))}
        return Outcome(job, ending, time.monotonic() - started, scores, rows[0].init, "; ".join(sorted(notes)))


@lru_cache(maxsize=1)
def kept(work: Work) -> Work:
    """The same work as before in this process, with what it has read."""
    return work


def train(work: Work, job: Job) -> Outcome:
    """Does a job in a process that does many."""
    return kept(work).train(job)
