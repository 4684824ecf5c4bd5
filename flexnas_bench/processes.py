"""Work side by side, in threads or in processes that never outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from flexnas_bench.errors import WorkerDiedError

_POLL_SECONDS = 0.2
T = TypeVar("T")
R = TypeVar("R")
#: Told what is going on, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


def in_threads(function: Callable[[T], R], tasks: Iterable[T], jobs: int | None) -> Iterator[R]:
    """Results in order, from so many threads, one a core if not given; for compiled code, which runs in parallel."""
    executor = ThreadPoolExecutor(jobs or os.cpu_count())
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


def _start_worker() -> None:
    """Keeps to one thread, leaves Ctrl-C to the parent, and dies with it however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when a task imports it
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
