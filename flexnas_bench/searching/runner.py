"""The search loop: ask, look up, tell, write down."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.embedding import OneHot
from flexnas_bench.errors import NotMeasuredError, OptionError, TableCorruptError
from flexnas_bench.optimizers.base import INITIAL, Optimizer
from flexnas_bench.optimizers.registry import make_optimizer
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8
from flexnas_bench.searching.convergence import converged_at
from flexnas_bench.searching.journal import Journal, journal_path, journals, read_records
from flexnas_bench.searching.runs import RUNS_FILE, Run, make_rows, write_runs
from flexnas_bench.searching.settings import SETTINGS_FILE, SearchSettings
from flexnas_bench.space import DesignSpace, load_space


def search(
    bench: Benchmark,
    optimizer: str | type[Optimizer],
    space: DesignSpace | str = "pool",
    task: str = GLUE8,
    budget: int = 60,
    seed: int = 0,
    out: Path | str | None = None,
    *,
    protocol: str | None = None,
    embedding: str = OneHot.name,
    initial: int | Sequence[ModelCard] | None = None,
    until_converged: bool = False,
    **options: Any,
) -> Run:
    """Searches a space with one optimizer and one seed.

    >>> from flexnas_bench import load_benchmark
    >>> search(load_benchmark(), "random", space="pool", task="rte", budget=5, seed=3).frame["step"].tolist()
    [1, 2, 3, 4, 5]

    Args:
        bench: who answers.
        optimizer: a name of `optimizer_names()`, or a subclass of `Optimizer`.
        space: a design space or its name.
        task: task whose score is maximised.
        budget: number of evaluations; a space with fewer cards ends the search sooner.
        seed: the same seed gives the same run.
        out: a folder for the journal and, at the end, `runs.parquet` with all seeds that have a journal there; a
            search that was interrupted goes on where it stopped.
        protocol: training recipe; `None` is the benchmark's default.
        embedding: name of an embedding.
        initial: cards to begin with, or how many to draw; `None` draws 10.
        until_converged: stop as soon as the criterion of section 4.1 is met.
        **options: the optimizer's own options.

    Raises:
        NotMeasuredError: the benchmark does not know every card of the space.
        RunMismatchError: `out` belongs to another search, or another process is writing to it.
        OptionError: a setting that makes no sense.
    """
    initial = INITIAL if initial is None else initial
    run = run_seed(
        bench, optimizer, space, task, budget, seed, out,
        protocol=protocol, embedding=embedding, initial=initial, until_converged=until_converged, options=options,
    )  # fmt: skip
    if out is not None:
        collect(Path(out))
    return run


def run_seed(
    bench: Benchmark,
    optimizer: str | type[Optimizer],
    space: DesignSpace | str,
    task: str,
    budget: int,
    seed: int,
    out: Path | str | None,
    *,
    protocol: str | None,
    embedding: str,
    initial: int | Sequence[ModelCard],
    until_converged: bool,
    options: Mapping[str, Any],
) -> Run:
    """What `search` does, less the table at the end: one seed of perhaps many in a folder."""
    if budget < 1:
        raise OptionError(f"budget: {budget} evaluations; it must be 1 or more")
    space = load_space(space) if isinstance(space, str) else space
    protocol = protocol or DEFAULT_PROTOCOL
    check_coverage(bench, space, task, protocol)
    proposer = make_optimizer(optimizer, space, seed=seed, embedding=embedding, initial=initial, **options)
    name = optimizer if isinstance(optimizer, str) else optimizer.__name__
    journal: AbstractContextManager[Journal | None] = nullcontext()
    if out is not None:
        start = initial if isinstance(initial, int) else [card.hash for card in initial]
        SearchSettings(name, space.name, task, protocol, embedding, start, dict(options)).claim(Path(out))
        journal = Journal(journal_path(Path(out), seed))
    with journal as opened:
        written = iter(opened.records[:budget] if opened else [])
        records: list[dict[str, Any]] = []
        while len(records) < min(budget, space.size) and not (until_converged and _converged(proposer)):
            record = next(written, None)
            if record is not None:
                _replay(proposer, record, bench, task, protocol)
            else:
                record = {"step": len(records) + 1} | _evaluate(proposer, bench, task, protocol)
                if opened:
                    opened.append(record)
            records.append(record)
    winner = max((r for r in records if r["value"] is not None), key=lambda r: r["value"], default=None)
    return Run(
        rows=make_rows(records, name, seed),
        best_card=space[winner["index"]] if winner else None,
        converged_at=_converged(proposer),
    )


def collect(out: Path) -> None:
    """Writes `runs.parquet` of a folder: every evaluation that its journals have, by seed and step."""
    optimizer = json.loads((out / SETTINGS_FILE).read_bytes())["optimizer"]
    rows = (make_rows(read_records(path), optimizer, seed) for seed, path in journals(out).items())
    write_runs(out / RUNS_FILE, chain.from_iterable(rows))


def check_coverage(bench: Benchmark, space: DesignSpace, task: str, protocol: str | None = None) -> None:
    """Raises `NotMeasuredError` unless the benchmark has a score for every card of the space."""
    known = sum(bench.card(digest) in space for digest in bench.hashes(task, protocol))
    if known < space.size:
        raise NotMeasuredError(
            f"only {known:,} of the {space.size:,} cards of space {space.name} have a {task} score; "
            "space pool has scores for all of its cards"
        )


def _evaluate(proposer: Optimizer, bench: Benchmark, task: str, protocol: str | None) -> dict[str, Any]:
    """One step of the loop, as a journal record."""
    started = time.perf_counter()
    (card,) = proposer.ask()
    ask_seconds = time.perf_counter() - started
    result = bench.query(card, task, protocol)
    proposer.tell([card], [result.value])
    return {
        "index": proposer.indices[-1],
        "card_hash": card.hash,
        "value": _or_null(result.value),
        "cost_seconds": _or_null(result.cost_seconds),
        "ask_seconds": round(ask_seconds, 6),
        "origin": result.origin,
    }


def _or_null(number: float) -> float | None:
    """A number as JSON can have it: null for NaN."""
    return None if math.isnan(number) else number


def _replay(proposer: Optimizer, record: dict[str, Any], bench: Benchmark, task: str, protocol: str) -> None:
    """Tells an optimizer again what it was told before the search was interrupted, if it still is true."""
    card = proposer.space[record["index"]] if 0 <= record["index"] < proposer.space.size else None
    if card is None or card.hash != record["card_hash"]:
        raise TableCorruptError(f"a journal names a card that {proposer.space!r} does not have: {record!r:.120}")
    if record["value"] != _or_null(bench.query(card, task, protocol).value):
        raise TableCorruptError(f"a journal has another value at step {record['step']} than the table: {record!r:.120}")
    proposer.tell([card], [math.nan if record["value"] is None else record["value"]])


def _converged(proposer: Optimizer) -> int | None:
    return converged_at(proposer.values, proposer.initial_size)
