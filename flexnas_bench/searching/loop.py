"""The search loop (Algorithm 1): ask when a worker is free, look up, tell when it is finished, write down."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.overlap import Donors
from flexnas_bench.errors import InvalidCardError, TableCorruptError
from flexnas_bench.optimizers.base import Optimizer
from flexnas_bench.optimizers.convergence import converged_at
from flexnas_bench.searching.budget import Budget
from flexnas_bench.searching.cluster import Cluster
from flexnas_bench.searching.journal import SearchJournal, or_nan, or_null
from flexnas_bench.searching.levels import refined
from flexnas_bench.searching.runs import Run, make_rows

if TYPE_CHECKING:
    from flexnas_bench.searching.runner import Search

_CLOSE = 1e-5


class Loop:
    """One seed of a search, while it runs.

    The journal has a line an evaluation, in the order of asking: in simulation the value is known as soon as the card
    is. So a search that is started again can put every line back on its worker and go on.
    """

    def __init__(self, search: Search, seed: int, journal: SearchJournal | None) -> None:
        self._search, self._seed, self._journal = search, seed, journal
        self._written: Iterator[dict[str, Any]] = iter(journal.records[:] if journal else [])
        self._ahead = next(self._written, None)
        self._records: list[dict[str, Any]] = []  # in the order of asking
        self._told: list[tuple[ModelCard, float]] = []  # in the order of finishing
        self._cluster = Cluster(search.settings.workers)
        self._donors = Donors(search.settings.overlap or 1.0)

    def run(self) -> Run:
        """All levels, one after the other."""
        levels, ends = self._search.levels, []
        for number, level in enumerate(levels):
            if number == 0:
                first = proposer = self._search.make(level, self._seed)
            else:
                nearby = refined(level, levels[number - 1], self._told, self._seed, number)
                proposer = self._search.make(nearby, self._seed, initial=0)
                # The best last: what was told last is the population of one method, and where another begins.
                known = sorted(self._told, key=lambda one: -math.inf if math.isnan(one[1]) else one[1])
                proposer.tell([card for card, _ in known], [value for _, value in known])
            self._run_level(proposer, number, self._search.budget.share((number + 1) / len(levels)))
            ends.append(len(self._records))
        rows = make_rows(self._records, self._search.settings.optimizer, self._seed)
        values = [row["value"] for row in rows]
        best = max(self._told, key=lambda one: -math.inf if math.isnan(one[1]) else one[1], default=None)
        return Run(
            rows=rows,
            best_card=best[0] if best and not math.isnan(best[1]) else None,
            converged_at=converged_at(values, first.initial_size),
            transfers=sum(record["transferred"] for record in self._records),
            level_ends=tuple(ends),
        )

    def _run_level(self, proposer: Optimizer, level: int, budget: Budget) -> None:
        """Asks whenever a worker is free, until the budget is spent, and waits for what is still running."""
        begun, closed = len(self._told) + proposer.initial_size, False
        while True:
            closed = closed or self._is_over(proposer, level, begun, budget)
            if self._cluster.free and not closed:
                record = self._next(proposer, level)
                closed = record["finished_at"] is not None and record["finished_at"] > budget.seconds
                if not closed:
                    self._start(record)
            elif self._cluster.busy:
                self._finish(proposer)
            else:
                return

    def _is_over(self, proposer: Optimizer, level: int, begun: int, budget: Budget) -> bool:
        """Whether a level asks for no more cards."""
        return (
            len(self._records) >= budget.evaluations
            or len(proposer.seen) >= proposer.space.size
            or (self._ahead is not None and self._ahead["level"] > level)  # so it was before the interruption
            or (self._search.until_converged and converged_at(proposer.values, begun) is not None)
        )

    def _next(self, proposer: Optimizer, level: int) -> dict[str, Any]:
        """The next evaluation: the one that the journal has, or the one that the optimizer asks for."""
        if self._ahead is None:
            return self._ask(proposer, level)
        record = self._ahead
        try:
            card = ModelCard.from_dict(record["card"])
        except InvalidCardError as error:
            raise TableCorruptError(f"a journal names a card that is none ({error}): {record!r:.120}") from error
        if card.hash != record["card_hash"] or card not in proposer.space:
            raise TableCorruptError(f"a journal names a card that {proposer.space!r} does not have: {record!r:.120}")
        value = self._search.objective.query(card, self._seed).value
        if not _is(record["value"], value):
            raise TableCorruptError(
                f"a journal has another value at step {record['step']} than the table: {record!r:.120}"
            )
        proposer.mark_pending([card])
        return record

    def _ask(self, proposer: Optimizer, level: int) -> dict[str, Any]:
        started = time.perf_counter()
        (card,) = proposer.ask()
        ask_seconds = time.perf_counter() - started
        result = self._search.objective.query(card, self._seed)
        near = self._search.settings.overlap is not None and self._donors.serve(card)
        cost, transferred = self._search.objective.cost(result, near)
        return {
            "step": len(self._records) + 1,
            "level": level,
            "card_hash": card.hash,
            "card": card.to_dict(),
            "value": or_null(result.value),
            "cost_seconds": or_null(cost),
            "finished_at": or_null(self._cluster.now + cost),
            "transferred": transferred,
            "ask_seconds": round(ask_seconds, 6),
            "origin": result.origin,
        }

    def _start(self, record: dict[str, Any]) -> None:
        if self._ahead is not None:
            self._ahead = next(self._written, None)
        elif self._journal:
            self._journal.append(record)
        self._records.append(record)
        self._cluster.start(record, or_nan(record["cost_seconds"]))

    def _finish(self, proposer: Optimizer) -> None:
        record = self._cluster.wait()
        card = ModelCard.from_dict(record["card"])
        value = or_nan(record["value"])
        proposer.tell([card], [value])
        self._told.append((card, value))
        if not math.isnan(value):
            self._donors.add(card)


def _is(written: float | None, value: float) -> bool:
    """Whether a value is what was written, within what the digits of a prediction leave open."""
    return math.isnan(value) if written is None else math.isclose(written, value, rel_tol=0, abs_tol=_CLOSE)
