"""Training on the machines of a Ray cluster, which come and go."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any

from flexnas_bench.errors import FlexnasError, OptionError, first_line
from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.filling.worker import Work, train

#: Seconds that trainings have to come to a good end when they are interrupted.
_PATIENCE = 30.0


class RayEngine(Engine):
    """An existing Ray cluster, all of whose machines see the store and the data under the same paths.

    Args:
        work: what trainings share.
        address: of the cluster; `auto` finds the one that this machine belongs to.
        cpus: cores of a training.
        gpus: of a training; a fraction puts several on one.

    Raises:
        OptionError: Ray is not installed, there is no such cluster, or it has no machine that is large enough.
    """

    def __init__(self, work: Work, address: str = "auto", cpus: float = 1, gpus: float = 0) -> None:
        super().__init__()
        if gpus > 1 and gpus % 1:
            raise OptionError(f"--gpus: {gpus:g} is neither a number of GPUs nor a part of one")
        try:
            import ray
        except ImportError:
            raise OptionError("--engine ray needs Ray, which the extra ray of flexnas-bench brings along") from None
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # whatever their start raises
            raise OptionError(f"no Ray cluster at {address}: {first_line(error)}; see `ray start --head`") from None
        self._ray, self._work = ray, replace(work)  # as it was made: what this machine has read or found is its own
        self._aside = redirect_stdout(sys.stderr)  # what Ray says of its machines is no result
        self._aside.__enter__()
        self._needs = {"CPU": float(cpus), "GPU": float(gpus)}
        self._train = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(train)
        if not self._room():
            self.close()
            raise OptionError(f"--cpus, --gpus: no machine of the Ray cluster has {cpus:g} cores and {gpus:g} GPUs")

    @property
    def free(self) -> bool:
        """Whether the machines that are there now have room for one more."""
        return len(self._jobs) < self._room()

    def _room(self) -> int:
        """How many trainings the machines that are there now hold."""
        with self._connected():
            there = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        needs = [(name, need) for name, need in self._needs.items() if need]
        return sum(min(_fit(one.get(name, 0.0), need) for name, need in needs) for one in there)

    def start(self, job: Job) -> None:
        """Lets Ray find a machine."""
        with self._connected():
            self._jobs[self._train.remote(self._work, job)] = job

    def wait(self, seconds: float) -> list[Outcome]:
        """Jobs that have ended since; those of a lost machine among them, as killed."""
        if not self._jobs:
            return []
        with self._connected():
            ready, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=seconds)
        return [self._outcome(one, self._jobs.pop(one)) for one in ready]

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """A cluster that is gone is one line."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise OptionError(f"the Ray cluster is gone: {first_line(error)}") from None

    def _outcome(self, one: Any, job: Job) -> Outcome:
        try:
            found: Outcome = self._ray.get(one)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, FlexnasError | OSError):
                raise error.cause from None
            why = error if error.cause is None else error.cause  # such as of a machine without a package
            return Outcome(job, Ending.FAILED, why=f"{type(why).__name__}: {_last_line(why)}")
        except self._ray.exceptions.OutOfMemoryError as error:
            return Outcome(job, Ending.MEMORY, why=first_line(error))
        except self._ray.exceptions.RayError as error:
            return Outcome(job, Ending.DIED, why=f"{type(error).__name__}: {first_line(error)}")
        return found

    @property
    def where(self) -> str:
        """Machines that are there now, and what they have."""
        there = self._ray.cluster_resources()
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return f"{nodes} machines of a Ray cluster, {there.get('CPU', 0):g} cores, {there.get('GPU', 0):g} GPUs"

    def close(self) -> None:
        """Interrupts what still runs, and leaves the cluster."""
        jobs, self._jobs = list(self._jobs), {}
        try:
            for one in jobs:
                self._ray.cancel(one, recursive=False)
            if jobs:
                self._ray.wait(jobs, num_returns=len(jobs), timeout=_PATIENCE)
        finally:
            self._ray.shutdown()
            self._aside.__exit__(None, None, None)


def _fit(there: float, need: float) -> int:
    """How many trainings a machine's cores or GPUs hold; a part of a GPU is one of the same GPU."""
    if need < 1:
        return int(1 / need + 1e-9) * int(there) + int(there % 1 / need + 1e-9)
    return int(there / need + 1e-9)


def _last_line(error: BaseException) -> str:
    """Of a remote traceback, which says what happened."""
    return str(error).strip().rpartition("\n")[2].strip()
