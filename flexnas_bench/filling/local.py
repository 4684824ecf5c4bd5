"""Training on this machine, in processes that stay."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import replace

import torch

from flexnas_bench.errors import WorkerDiedError
from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.filling.worker import Work, train
from flexnas_bench.processes import Crew, cores
from flexnas_bench.training.provenance import pick_device

#: Ends of processes by exit code: the system kills those that leave it short of memory.
_DEATHS: dict[int | None, Ending] = {-signal.SIGKILL: Ending.MEMORY}


def devices_of(name: str) -> list[str]:
    """Devices to train on; `auto` is every GPU that there is, or the CPU. Raises `OptionError`."""
    device = pick_device(name)
    if name == "auto" and device.type == "cuda":
        return [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [str(device)]


class LocalEngine(Engine):
    """Processes of this machine, on its GPUs or its cores.

    Args:
        work: what they share.
        workers: cards at once on each device.
        devices: to train on, each with a crew of its own.
    """

    def __init__(self, work: Work, workers: int = 1, devices: Sequence[str] = ("cpu",)) -> None:
        super().__init__()
        threads = max(cores() // (workers * len(devices)), 1)
        self._work, self._devices, self._workers = work, devices, workers
        self._crews: list[Crew[Outcome]] = [Crew(train, workers, threads, _is_sound) for _ in devices]

    @property
    def free(self) -> bool:
        """Whether a process is free."""
        return any(crew.free for crew in self._crews)

    def start(self, job: Job) -> None:
        """Gives a job to the device with the most room."""
        number = max(range(len(self._crews)), key=lambda one: self._crews[one].free)
        self._crews[number].start(job.name, replace(self._work, device=self._devices[number]), job)
        self._jobs[job.name] = job

    def wait(self, seconds: float) -> list[Outcome]:
        """Jobs that have ended since."""
        found = []
        for crew in self._crews:
            for name, ended in crew.wait(seconds / len(self._crews)):
                job = self._jobs.pop(name)
                if isinstance(ended, WorkerDiedError):
                    ended = Outcome(job, _DEATHS.get(ended.code, Ending.DIED), why=str(ended))
                if isinstance(ended, Exception):
                    raise ended
                found.append(ended)
        return found

    @property
    def where(self) -> str:
        """Devices, and cards at once on each."""
        return f"{', '.join(self._devices)}, {self._workers} at once"

    def close(self) -> None:
        """Interrupts what still runs."""
        for crew in self._crews:
            crew.interrupt()
        for crew in self._crews:
            crew.close()


def _is_sound(outcome: Outcome) -> bool:
    """Whether its process can go on: after an error a GPU may be of no more use to it, or memory be kept."""
    return outcome.ending in (Ending.FINISHED, Ending.BUSY)
