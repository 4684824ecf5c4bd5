"""The search loop: ask, look up, tell, write down."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

from flexnas_bench.benchmark import Benchmark, Result
from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.loading import embedding_digest
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import NotMeasuredError, OptionError, TableCorruptError
from flexnas_bench.optimizers.base import INITIAL, Optimizer
from flexnas_bench.optimizers.registry import (
    check_class,
    make_optimizer,
    optimizer_class,
    optimizer_options,
    source_digest,
)
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8
from flexnas_bench.searching.budget import Budget
from flexnas_bench.searching.convergence import converged_at
from flexnas_bench.searching.journal import SearchJournal, journal_path, journals
from flexnas_bench.searching.runs import RUNS_FILE, Run, make_rows, write_runs
from flexnas_bench.searching.settings import SETTINGS_FILE, SearchSettings
from flexnas_bench.space import DesignSpace, load_space


def search(
    bench: Benchmark,
    optimizer: str | type[Optimizer],
    space: DesignSpace | str = "pool",
    task: str = GLUE8,
    budget: int | str = 60,
    seed: int = 0,
    out: Path | str | None = None,
    *,
    protocol: str | None = None,
    embedding: str = OneHot.name,
    initial: int | str | Sequence[ModelCard] | None = None,
    until_converged: bool = False,
    **options: Any,
) -> Run:
    """Searches a space with one optimizer and one seed.

    >>> from flexnas_bench import load_benchmark
    >>> search(load_benchmark(), "random", space="pool", task="rte", budget=5, seed=3).frame["step"].tolist()
    [1, 2, 3, 4, 5]

    Args:
        bench: who answers.
        optimizer: a name of `optimizer_names()`, `"module:Class"`, or a subclass of `Optimizer`.
        space: a design space, or what `load_space` takes.
        task: task whose score is maximised.
        budget: number of evaluations, or a simulated time such as `"12h"` (see `Budget`); a space with fewer cards
            ends the search sooner.
        seed: the same seed gives the same run.
        out: a folder for the journal and, at the end, `runs.parquet` with all that the journals there have, of other
            seeds and of larger budgets too; a search that was interrupted goes on where it stopped.
        protocol: training recipe; `None` is the benchmark's default.
        embedding: name of an embedding.
        initial: cards to begin with, how many to draw, or `"paper12"`; `None` draws 10.
        until_converged: stop as soon as the criterion of section 4.1 is met.
        **options: the optimizer's own options.

    Raises:
        NotMeasuredError: the benchmark does not know every card of the space.
        RunMismatchError: `out` belongs to another search.
        BusyError: another process is writing to it.
        OptionError: a setting that makes no sense.
    """
    prepared = prepare(
        bench, optimizer, space, task, budget,
        protocol=protocol, embedding=embedding, initial=initial, until_converged=until_converged, **options,
    )  # fmt: skip
    run = prepared.run(seed, Path(out) if out is not None else None)
    if out is not None:
        collect(Path(out))
    return run


def prepare(
    bench: Benchmark,
    optimizer: str | type[Optimizer],
    space: DesignSpace | str = "pool",
    task: str = GLUE8,
    budget: int | str = 60,
    *,
    protocol: str | None = None,
    embedding: str = OneHot.name,
    initial: int | str | Sequence[ModelCard] | None = None,
    until_converged: bool = False,
    **options: Any,
) -> Search:
    """A search with everything checked, ready for any seed; arguments and errors are those of `search`."""
    space = space if isinstance(space, DesignSpace) else load_space(space)
    protocol = protocol or DEFAULT_PROTOCOL
    initial = INITIAL if initial is None else initial
    limit = Budget.read(budget)
    answers = _answers(bench, space, task, protocol)
    if limit.seconds < math.inf and any(math.isnan(answer.cost_seconds) for answer in answers):
        raise OptionError(f"budget: not all costs are known under protocol {protocol}; give a number of evaluations")
    kind = optimizer_class(optimizer) if isinstance(optimizer, str) else check_class(optimizer)

    def make(seed: int) -> Optimizer:
        return make_optimizer(kind, space, seed=seed, embedding=embedding, initial=initial, **options)

    make(0)  # refuses what it cannot be made of
    usual = optimizer_options(kind)
    settings = SearchSettings(
        optimizer=optimizer if isinstance(optimizer, str) else f"{kind.__module__}:{kind.__qualname__}",
        space=space.name,
        space_digest=space.digest,
        embedding_digest=embedding_digest(embedding),
        task=task,
        protocol=protocol,
        embedding=embedding,
        initial=initial if isinstance(initial, int | str) else [card.hash for card in initial],
        options={name: value for name, value in options.items() if value != usual[name]},
        scores_digest=_digest(answers),
        optimizer_digest=source_digest(kind),
    )
    return Search(settings, bench, space, make, limit, until_converged)


@dataclass(frozen=True)
class Search:
    """A search, ready to be run with any seed; made by `prepare`.

    Attributes:
        settings: what decides its proposals, by name.
        bench: who answers.
        space: where it searches.
        make: makes its optimizer for a seed.
        budget: how long it may go on.
        until_converged: whether it stops as soon as the criterion of section 4.1 is met.
    """

    settings: SearchSettings
    bench: Benchmark
    space: DesignSpace
    make: Callable[[int], Optimizer]
    budget: Budget
    until_converged: bool = False

    def run(self, seed: int, out: Path | None = None) -> Run:
        """Runs one seed, of perhaps many in a folder; raises as `search` does."""
        proposer = self.make(seed)
        journal: AbstractContextManager[SearchJournal | None] = nullcontext()
        if out is not None:
            self.settings.claim(out)
            journal = SearchJournal(journal_path(out, seed))
        with journal as opened:
            written = iter(opened.records[:] if opened else [])
            records: list[dict[str, Any]] = []
            spent = 0.0
            while len(records) < min(self.budget.evaluations, self.space.size) and not self._stops(proposer):
                record = next(written, None)
                replayed = record is not None
                if record is None:
                    record = {"step": len(records) + 1} | self._evaluate(proposer)
                else:
                    self._replay(proposer, record)
                spent += math.nan if record["cost_seconds"] is None else record["cost_seconds"]
                if spent > self.budget.seconds:  # never if it is not known
                    break
                if opened and not replayed:
                    opened.append(record)
                records.append(record)
        winner = max((r for r in records if r["value"] is not None), key=lambda r: r["value"], default=None)
        return Run(
            rows=make_rows(records, self.settings.optimizer, seed),
            best_card=self.space[winner["index"]] if winner else None,
            converged_at=_converged([record["value"] for record in records], proposer),
        )

    def _stops(self, proposer: Optimizer) -> bool:
        return self.until_converged and _converged(proposer.values, proposer) is not None

    def _evaluate(self, proposer: Optimizer) -> dict[str, Any]:
        """One step of the loop, as a journal record."""
        started = time.perf_counter()
        (card,) = proposer.ask()
        ask_seconds = time.perf_counter() - started
        result = self.bench.query(card, self.settings.task, self.settings.protocol)
        proposer.tell([card], [result.value])
        return {
            "index": proposer.indices[-1],
            "card_hash": card.hash,
            "value": _or_null(result.value),
            "cost_seconds": _or_null(result.cost_seconds),
            "ask_seconds": round(ask_seconds, 6),
            "origin": result.origin,
        }

    def _replay(self, proposer: Optimizer, record: dict[str, Any]) -> None:
        """Tells an optimizer again what it was told before the search was interrupted, if it still is true."""
        card = self.space[record["index"]] if 0 <= record["index"] < self.space.size else None
        if card is None or card.hash != record["card_hash"]:
            raise TableCorruptError(f"a journal names a card that {self.space!r} does not have: {record!r:.120}")
        if record["value"] != _or_null(self.bench.query(card, self.settings.task, self.settings.protocol).value):
            raise TableCorruptError(
                f"a journal has another value at step {record['step']} than the table: {record!r:.120}"
            )
        proposer.tell([card], [math.nan if record["value"] is None else record["value"]])


def collect(out: Path) -> None:
    """Writes `runs.parquet` of a folder: every evaluation that its journals have, by seed and step."""
    optimizer = json.loads((out / SETTINGS_FILE).read_bytes())["optimizer"]
    rows = (make_rows(SearchJournal.read(path), optimizer, seed) for seed, path in journals(out).items())
    write_runs(out / RUNS_FILE, chain.from_iterable(rows))


def _answers(bench: Benchmark, space: DesignSpace, task: str, protocol: str) -> list[Result]:
    """What a search can be told; raises `NotMeasuredError` unless there is a score for every card of the space."""
    known = _known(bench, space, task, protocol)
    if len(known) < space.size:
        whole = [other for other in bench.protocols if len(_known(bench, space, task, other)) == space.size]
        raise NotMeasuredError(
            f"only {len(known):,} of the {space.size:,} cards of space {space.name} have a {task} score under protocol "
            f"{protocol}, and a search needs all; "
            + (f"{' and '.join(whole)} has them" if whole else "a .jsonl file of cards that have one is a space too")
        )
    return [bench.query(digest, task, protocol) for digest in sorted(known)]


def _known(bench: Benchmark, space: DesignSpace, task: str, protocol: str) -> list[str]:
    return [digest for digest in bench.hashes(task, protocol) if bench.card(digest) in space]


def _digest(answers: Sequence[Result]) -> str:
    facts = [(answer.card_hash, answer.value, answer.origin) for answer in answers]
    return sha256(repr(facts).encode()).hexdigest()[:16]


def _or_null(number: float) -> float | None:
    """A number as JSON can have it: null for NaN."""
    return None if math.isnan(number) else number


def _converged(values: Sequence[float | None], proposer: Optimizer) -> int | None:
    return converged_at([math.nan if value is None else value for value in values], proposer.initial_size)
