"""Many seeds of one search, side by side in processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from flexnas_bench.benchmark import load_benchmark
from flexnas_bench.errors import FlexnasError, OptimizerFailedError, OptionError, WorkerDiedError
from flexnas_bench.searching.journal import count_records, journal_path
from flexnas_bench.searching.runner import collect, prepare
from flexnas_bench.searching.runs import Run

_POLL_SECONDS = 0.2


def search_seeds(
    arguments: Mapping[str, Any],
    seeds: Sequence[int],
    out: Path,
    *,
    store: Path | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Run]:
    """Runs one search with several seeds and writes `out/runs.parquet`, as `search` does with one.

    Every seed has a journal in `out`; what an earlier, interrupted call finished is not computed again. The
    result does not depend on `jobs`.

    Args:
        arguments: of `search`, but for `bench`, `seed` and `out`; names and numbers only.
        seeds: one run each.
        out: folder of the journals and the table.
        store: a user's own results, over the shipped ones.
        jobs: processes.
        progress: told from time to time how many evaluations are done, all seeds together.

    Returns:
        The runs in the order of `seeds`.

    Raises:
        FlexnasError: as `search` does.
    """
    if jobs < 1 or not seeds:
        raise OptionError(f"{jobs} jobs and {len(seeds)} seeds; there must be 1 or more of each")
    prepare(load_benchmark(store=store), **arguments).settings.claim(out)
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(min(jobs, len(seeds)), context, _start_worker)
    try:
        futures = [executor.submit(_one_seed, arguments, store, seed, out) for seed in seeds]
        for _ in _poll(futures):
            if progress:
                progress(sum(count_records(journal_path(out, seed)) for seed in seeds))
        runs = [future.result() for future in futures]
    except BaseException as error:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()  # journals are complete up to the evaluation they are in
        if isinstance(error, BrokenProcessPool):
            raise WorkerDiedError(
                "a worker process was killed, perhaps for want of memory; run again to go on from there"
            ) from None
        raise
    executor.shutdown()
    collect(out)
    return runs


def _poll(futures: Sequence[Future[Run]]) -> Iterator[None]:
    """Yields from time to time until all are done; raises as soon as one has failed."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, _POLL_SECONDS)
        for future in done:
            future.result()  # raises what the worker raised
        yield


def _one_seed(arguments: Mapping[str, Any], store: Path | None, seed: int, out: Path) -> Run:
    try:
        return prepare(load_benchmark(store=store), **arguments).run(seed, out)
    except (FlexnasError, OSError):
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise OptimizerFailedError(
            f"optimizer {arguments['optimizer']}, seed {seed}: {type(error).__name__}: {error} "
            f"({place.filename}, line {place.lineno}, in {place.name}); from Python, search() shows how it came to that"
        ) from error


def _start_worker() -> None:
    """Keeps to one thread, leaves Ctrl-C to the parent, and dies with it however it dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when an optimizer imports it
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
