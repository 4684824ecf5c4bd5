"""The search loop: ask, look up, tell, write down."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotMeasuredError, OptionError, TableCorruptError
from flexnas_bench.optimizers.base import Optimizer
from flexnas_bench.optimizers.registry import make_optimizer
from flexnas_bench.results import GLUE8
from flexnas_bench.searching.convergence import converged_at
from flexnas_bench.searching.journal import Journal, journal_path
from flexnas_bench.searching.runs import Run, make_rows
from flexnas_bench.searching.settings import SearchSettings
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
    embedding: str = "one-hot",
    initial: int | Sequence[ModelCard] = 10,
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
        out: a folder for the journal; a search that was interrupted there goes on where it stopped.
        protocol: training recipe; `None` is the benchmark's default.
        embedding: name of an embedding.
        initial: cards to begin with, or how many to draw.
        until_converged: stop as soon as the criterion of section 4.1 is met.
        **options: the optimizer's own options.

    Raises:
        NotMeasuredError: the benchmark does not know every card of the space.
        RunMismatchError: `out` belongs to another search, or another process is writing to it.
        OptionError: a setting that makes no sense.
    """
    if budget < 1:
        raise OptionError(f"budget: {budget} evaluations; it must be 1 or more")
    space = load_space(space) if isinstance(space, str) else space
    check_coverage(bench, space, task, protocol)
    proposer = make_optimizer(optimizer, space, seed=seed, embedding=embedding, initial=initial, **options)
    name = optimizer if isinstance(optimizer, str) else optimizer.__name__
    journal: AbstractContextManager[Journal | None] = nullcontext()
    if out is not None:
        start = initial if isinstance(initial, int) else [card.hash for card in initial]
        SearchSettings(name, space.name, task, protocol, embedding, start, options).claim(Path(out))
        journal = Journal(journal_path(Path(out), seed))
    with journal as opened:
        records = opened.records[:budget] if opened else []
        _replay(proposer, records)
        while len(records) < min(budget, space.size) and not (until_converged and _converged(proposer)):
            records.append(_evaluate(proposer, bench, task, protocol))
            if opened:
                opened.append(records[-1])
    winner = max((r for r in records if r["value"] is not None), key=lambda r: r["value"], default=None)
    return Run(
        rows=make_rows(records, name, seed),
        best_card=space[winner["index"]] if winner else None,
        converged_at=_converged(proposer),
    )


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
        "value": None if math.isnan(result.value) else result.value,
        "cost_seconds": result.cost_seconds,
        "ask_seconds": round(ask_seconds, 6),
        "origin": result.origin,
    }


def _replay(proposer: Optimizer, records: Sequence[dict[str, Any]]) -> None:
    """Tells an optimizer again what it was told before the search was interrupted."""
    for record in records:
        try:
            card = proposer.space[record["index"]]
            known = card.hash == record["card_hash"]
        except (KeyError, IndexError, TypeError):
            known = False
        if not known:
            raise TableCorruptError(f"a journal names a card that {proposer.space!r} does not have: {record!r:.120}")
        proposer.tell([card], [math.nan if record["value"] is None else record["value"]])


def _converged(proposer: Optimizer) -> int | None:
    return converged_at(proposer.values, proposer.initial_size)
