"""Work side by side, in threads or in processes that never outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_any
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from flexnas_bench.errors import WorkerDiedError

_POLL_SECONDS = 0.2
#: Seconds that processes have to come to a good end when they are asked to.
_PATIENCE = 30.0
T = TypeVar("T")
R = TypeVar("R")
#: Told what is going on, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


def cores() -> int:
    """How many cores this process may use; those it is kept from, as by `taskset` or Slurm, do not count."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(function: Callable[[T], R], tasks: Iterable[T], jobs: int | None) -> Iterator[R]:
    """Results in order, from so many threads, one a core if not given; for compiled code, which runs in parallel."""
    executor = ThreadPoolExecutor(jobs or cores())
    try:
        yield from executor.map(function, tasks)
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def finished_tasks(
    function: Callable[..., R], tasks: Sequence[tuple[Any, ...]], jobs: int | None
) -> Iterator[Iterator[list[tuple[int, R]]]]:
    """Calls a function once for each tuple of arguments, in so many processes, or in this one if none is given.

    Inside the block one gets, from time to time, the numbers and the results of the tasks that have finished since.
    Leaving the block early, by an error or Ctrl-C, kills what still runs; a task's error is raised where it is met.

    Raises:
        WorkerDiedError: a process was killed from outside.
    """
    if jobs is None or not tasks:
        yield ([(number, function(*task))] for number, task in enumerate(tasks))
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), context, _start_worker)
    try:
        yield _poll({executor.submit(function, *task): number for number, task in enumerate(tasks)})
    except BaseException as error:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        if isinstance(error, BrokenProcessPool):
            raise WorkerDiedError(
                "a worker process was killed, perhaps for want of memory; run again to go on from there"
            ) from None
        raise
    executor.shutdown()


def _poll(numbers: dict[Future[R], int]) -> Iterator[list[tuple[int, R]]]:
    waiting = set(numbers)
    while waiting:
        done, waiting = wait(waiting, _POLL_SECONDS)
        yield [(numbers[future], future.result()) for future in done]


@dataclass
class _Worker:
    """A process of a crew; `key` is of the task that it is at."""

    process: BaseProcess
    connection: Connection
    key: Any = None


class Crew(Generic[R]):
    """Processes that stay: each does one task after the other, and one that dies is replaced.

    >>> with Crew(math.hypot, size=2) as crew:  # doctest: +SKIP
    ...     crew.start("a", 3, 4)
    ...     crew.wait(60)
    [('a', 5.0)]

    Args:
        function: does a task; one of a module, which each process imports.
        size: number of processes at most; each is started when it is first needed.
        threads: that each may use.
        goes_on: whether a process stays after a result; one that raised something does.
    """

    def __init__(
        self, function: Callable[..., R], size: int, threads: int = 1, goes_on: Callable[[R], bool] = lambda _: True
    ) -> None:
        self._function, self._size, self._threads, self._goes_on = function, size, threads, goes_on
        self._idle: list[_Worker] = []
        self._busy: list[_Worker] = []

    @property
    def free(self) -> int:
        """How many tasks could be started now."""
        return self._size - len(self._busy)

    def start(self, key: Any, *task: Any) -> None:
        """Gives a task, by whose key its end is told, to a free process."""
        worker = self._idle.pop() if self._idle else self._hire()
        try:
            worker.connection.send(task)
        except OSError:  # it was killed while it had nothing to do
            worker = self._hire()
            worker.connection.send(task)
        worker.key = key
        self._busy.append(worker)

    def wait(self, seconds: float) -> list[tuple[Any, R | Exception]]:
        """Results of tasks that have ended, or what they raised, after so long at most.

        That of a process that was killed is a `WorkerDiedError`.
        """
        ready = wait_for_any([worker.connection for worker in self._busy], seconds) if self._busy else []
        ended: list[tuple[Any, R | Exception]] = []
        for worker in [one for one in self._busy if one.connection in ready]:
            self._busy.remove(worker)
            try:
                result = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                code = worker.process.exitcode or 0
                how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
                ended.append((worker.key, WorkerDiedError(f"its process ended {how}", code)))
                continue
            ended.append((worker.key, result))
            if isinstance(result, Exception) or self._goes_on(result):
                self._idle.append(worker)
            else:
                _dismiss(worker)
        return ended

    def interrupt(self) -> None:
        """Asks processes that are at work to end, without waiting for them."""
        for worker in self._busy:
            worker.process.terminate()

    def close(self) -> None:
        """Asks all processes to end, and kills those that do not."""
        self.interrupt()
        for worker in self._idle + self._busy:
            _dismiss(worker)
        self._idle, self._busy = [], []

    def __enter__(self) -> Crew[R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hire(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._threads), daemon=True)
        process.start()
        theirs.close()
        mine.send(self._function)
        return _Worker(process, mine)


def _dismiss(worker: _Worker) -> None:
    """Waits until a process, which has nobody to serve any more, has ended."""
    worker.connection.close()
    worker.process.join(_PATIENCE)
    worker.process.kill()
    worker.process.join()


def _serve(connection: Connection, threads: int) -> None:
    """Does what comes, until nobody is left to send anything."""
    os.setsid()  # Ctrl-C at a terminal is for the parent, which asks its workers to end
    _start_worker(threads)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    function = connection.recv()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        answer: Any
        try:
            answer = function(*task)
        except Exception as error:
            answer = error
        connection.send(answer)


def _start_worker(threads: int = 1) -> None:
    """Keeps to so many threads, leaves Ctrl-C to the parent, and dies with it however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when a task imports it
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
