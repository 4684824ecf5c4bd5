"""Searches: everything checked and settled first, then run with any seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.embedding.loading import embedding_digest
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import OptionError, shown
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
from flexnas_bench.searching.journal import SearchJournal, journal_path, journals
from flexnas_bench.searching.levels import check_levels
from flexnas_bench.searching.loop import Loop
from flexnas_bench.searching.objective import Objective, choose_objective
from flexnas_bench.searching.runs import CARDS_FILE, RUNS_FILE, Run, make_rows, write_cards, write_runs
from flexnas_bench.searching.settings import SETTINGS_FILE, SearchSettings
from flexnas_bench.space import DesignSpace, load_space

if TYPE_CHECKING:
    from flexnas_bench.searching.live import LiveTraining

#: Workers that a cluster may have.
MOST_WORKERS = 100_000


def search(
    bench: Benchmark,
    optimizer: str | type[Optimizer],
    space: DesignSpace | str = "pool",
    task: str = GLUE8,
    budget: int | str = 60,
    seed: int = 0,
    out: Path | str | None = None,
    **settings: Any,
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
        **settings: the further arguments of `prepare`, such as `workers=8`, and the optimizer's own options.

    Raises:
        NotMeasuredError: the benchmark does not know every card of the space.
        RunMismatchError: `out` belongs to another search.
        BusyError: another process is writing to it.
        OptionError: a setting that makes no sense.
    """
    prepared = prepare(bench, optimizer, space, task, budget, **settings)
    run = prepared.run(seed, Path(out) if out is not None else None)
    if out is not None:
        prepared.collect(Path(out))
    return run


def prepare(
    bench: Benchmark,
    optimizer: str | type[Optimizer],
    space: DesignSpace | str = "pool",
    task: str = GLUE8,
    budget: int | str = 60,
    *,
    protocol: str | None = None,
    kind: str = "auto",
    noisy: bool = False,
    embedding: str = OneHot.name,
    initial: int | str | Sequence[ModelCard] | None = None,
    workers: int = 1,
    transfer: bool = False,
    overlap: float = THRESHOLD,
    levels: Sequence[DesignSpace | str] | None = None,
    until_converged: bool = False,
    live: LiveTraining | None = None,
    **options: Any,
) -> Search:
    """A search with everything checked, ready for any seed; the first five arguments and errors are those of `search`.

    Args:
        bench: who answers.
        optimizer: who proposes.
        space: where.
        task: what is maximised.
        budget: how long.
        protocol: training recipe; `None` is the benchmark's default.
        kind: `"table"`, scores of trained cards; `"surrogate"`, predicted ones; `"auto"`, the table if it has every
            card of the space, otherwise the surrogate.
        noisy: whether each prediction is drawn as a training would draw it; the same for one card and seed.
        embedding: name of an embedding.
        initial: cards to begin with, how many to draw, or `"paper12"`; `None` draws 10.
        workers: simulated workers that train a card each; the optimizer is asked when one is free, and told in the
            order in which cards are finished.
        transfer: whether a card costs its fine-tuning alone if a finished one has enough layers in common with it
            (section 3.3.3). Scores stay those of trainings from scratch.
        overlap: how large a fraction of its layers is enough.
        levels: spaces from coarse to fine, in place of `space`: after the first, a level is searched in the
            neighbourhood of the best cards so far (sections 3.2.2 and B.3). They share the budget evenly.
        until_converged: stop, or go to the next level, as soon as the criterion of section 4.1 is met.
        live: train for real, by its own protocol, and with its own transfer and overlap, one card at a time.
        **options: the optimizer's own options.
    """
    spaces = _spaces([space] if levels is None else levels)
    if live is not None:
        protocol, transfer, overlap = live.backend.protocol.name, live.transfer, live.overlap
        if noisy or workers > 1 or kind != "auto":
            raise OptionError(
                "noisy, workers, kind: a live search trains one card at a time, is noisy by itself, and measured"
            )
    protocol = protocol or DEFAULT_PROTOCOL
    initial = INITIAL if initial is None else initial
    limit = Budget.read(budget)
    _check_cluster(workers, overlap)
    if live is None:
        objective = choose_objective(bench, spaces[-1], task, protocol, kind, noisy)
    else:
        objective = live.objective(task)
    if (limit.seconds < math.inf or workers > 1) and not objective.knows_costs(spaces[-1]):
        raise OptionError(
            f"budget, workers: simulated time needs costs, and under protocol {protocol} not all are known; "
            "give a number of evaluations, and one worker"
        )
    chosen = optimizer_class(optimizer) if isinstance(optimizer, str) else check_class(optimizer)
    make_optimizer(chosen, spaces[0], embedding=embedding, initial=initial, **options)  # refuses what makes no sense
    usual = optimizer_options(chosen)
    if clash := sorted(usual.keys() & signature(prepare).parameters.keys()):
        raise OptionError(f"option {clash[0]} of {chosen.__name__} has the name of a setting of searches; rename it")
    settings = SearchSettings(
        optimizer=optimizer if isinstance(optimizer, str) else f"{chosen.__module__}:{chosen.__qualname__}",
        space=",".join(one.name for one in spaces),
        space_digest=",".join(one.digest for one in spaces),
        embedding_digest=embedding_digest(embedding),
        task=task,
        protocol=protocol,
        kind=objective.kind,
        noisy=noisy,
        embedding=embedding,
        initial=initial if isinstance(initial, int | str) else [card.hash for card in initial],
        workers=workers,
        overlap=float(overlap) if transfer else None,
        budget=f"{budget}{', each level until converged' if until_converged else ''}" if len(spaces) > 1 else None,
        options={name: value for name, value in options.items() if name not in usual or value != usual[name]},
        scores_digest=objective.digest(spaces[-1]),
        optimizer_digest=source_digest(chosen),
    )
    return Search(settings, objective, spaces, limit, until_converged, chosen, initial, options)


def _spaces(levels: Sequence[DesignSpace | str]) -> list[DesignSpace]:
    if isinstance(levels, str) or not levels:
        raise OptionError(f"levels: {shown(levels)} is no list of spaces, from coarse to fine")
    spaces = [one if isinstance(one, DesignSpace) else load_space(one) for one in levels]
    check_levels(spaces)
    return spaces


def _check_cluster(workers: int, overlap: float) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise OptionError(f"workers: {shown(workers)} is not a whole number from 1 to {MOST_WORKERS:,}")
    if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0 < overlap <= 1:
        raise OptionError(f"overlap: {shown(overlap)} is not a fraction of layers, above 0 and up to 1")


@dataclass(frozen=True)
class Search:
    """A search, ready to be run with any seed; made by `prepare`.

    Attributes:
        settings: what decides its proposals, by name.
        objective: what it is told.
        levels: where it searches, from coarse to fine; most often a single space.
        budget: how long it may go on.
        until_converged: whether a level ends as soon as the criterion of section 4.1 is met.
        optimizer: who proposes.
        initial: cards that it begins with, see `Optimizer`.
        options: its own options.
    """

    settings: SearchSettings
    objective: Objective
    levels: Sequence[DesignSpace]
    budget: Budget
    until_converged: bool
    optimizer: type[Optimizer]
    initial: int | str | Sequence[ModelCard]
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, space: DesignSpace, seed: int, initial: int | None = None) -> Optimizer:
        """The optimizer for a level and a seed."""
        begin = self.initial if initial is None else initial
        return make_optimizer(
            self.optimizer, space, seed=seed, embedding=self.settings.embedding, initial=begin, **self.options
        )

    def run(self, seed: int, out: Path | None = None) -> Run:
        """Runs one seed, of perhaps many in a folder; raises as `search` does."""
        journal: AbstractContextManager[SearchJournal | None] = nullcontext()
        if out is not None:
            self.settings.claim(out)
            journal = SearchJournal(journal_path(out, seed))
        with journal as opened:
            return Loop(self, seed, opened).run()

    def collect(self, out: Path) -> None:
        """Writes every evaluation that the journals of a folder have, by seed and step, and the cards evaluated."""
        optimizer = json.loads((out / SETTINGS_FILE).read_bytes())["optimizer"]
        records = {seed: SearchJournal.read(path) for seed, path in journals(out).items()}
        cards = list(dict.fromkeys(ModelCard.from_dict(r["card"]) for found in records.values() for r in found))
        write_cards(out / CARDS_FILE, cards, self.objective.expected(cards))  # first: no run without its cards
        write_runs(out / RUNS_FILE, chain.from_iterable(make_rows(r, optimizer, seed) for seed, r in records.items()))
