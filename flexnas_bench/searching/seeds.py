"""Many seeds of one search, side by side in processes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flexnas_bench.errors import FlexnasError, OptimizerFailedError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.processes import finished_tasks
from flexnas_bench.searching.journal import count_records, journal_path
from flexnas_bench.searching.runner import prepare
from flexnas_bench.searching.runs import Run


def search_seeds(
    arguments: Mapping[str, Any],
    seeds: Sequence[int],
    out: Path,
    *,
    store: Path | None = None,
    jobs: int | None = 1,
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
        jobs: processes; in this one if None.
        progress: told from time to time how many evaluations are done, all seeds together.

    Returns:
        The runs in the order of `seeds`.

    Raises:
        FlexnasError: as `search` does.
    """
    if (jobs is not None and jobs < 1) or not seeds:
        raise OptionError(f"{jobs} jobs and {len(seeds)} seeds; there must be 1 or more of each")
    prepared = prepare(load_benchmark(store=store), **arguments)
    prepared.settings.claim(out)
    runs: dict[int, Run] = {}
    with finished_tasks(_one_seed, [(arguments, store, seed, out) for seed in seeds], jobs) as batches:
        for batch in batches:
            runs.update(batch)
            if progress:
                progress(sum(count_records(journal_path(out, seed)) for seed in seeds))
    prepared.collect(out)
    return [runs[number] for number in range(len(seeds))]


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
