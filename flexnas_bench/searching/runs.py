"""Runs: what searches leave behind, one row an evaluation, in memory and as Parquet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.searching.journal import or_nan
from flexnas_bench.storage import read_parquet, table_schema, write_parquet

if TYPE_CHECKING:
    import pandas as pd

RUNS_FILE, CARDS_FILE = "runs.parquet", "cards.parquet"
RUNS = table_schema(
    optimizer="text",
    seed="int",
    step="int",
    card_hash="text",
    value="real",
    best="real",
    cost_seconds="real",
    finished_at="real",
    ask_seconds="real",
    origin="text",
)
#: The cards of runs; `expected` is what a training of one scores on average, best guess (NaN: nobody can say).
CARDS = table_schema(card_hash="text", card="text", expected="real")


@dataclass(frozen=True)
class Run:
    """A search with one seed.

    Attributes:
        rows: one dictionary an evaluation: `optimizer`; `seed`; `step`, from 1; `card_hash`; `value` in points (NaN
            for a failed evaluation); `best` value so far; `cost_seconds` of the evaluation; `finished_at`, the
            simulated time in seconds at its end, in whose order the steps are; `ask_seconds`, the real time
            that the optimizer took to propose the card; `origin` of the value.
        best_card: the card of the highest value, `None` if all evaluations failed.
        converged_at: the step at which the criterion of section 4.1 was met, or `None`.
        transfers: number of evaluations whose weights were, in simulation, transferred.
        level_ends: the last step of each level.
    """

    rows: list[dict[str, Any]]
    best_card: ModelCard | None
    converged_at: int | None
    transfers: int = 0
    level_ends: tuple[int, ...] = ()

    @property
    def frame(self) -> pd.DataFrame:
        """`rows` as a data frame."""
        return _table(self.rows).to_pandas()


def make_rows(records: Sequence[dict[str, Any]], optimizer: str, seed: int) -> list[dict[str, Any]]:
    """The rows of a run, in the order of finishing, from the records of its journal, in the order of asking."""
    if all(record["finished_at"] is not None for record in records):
        records = sorted(records, key=lambda record: (record["finished_at"], record["step"]))
    rows: list[dict[str, Any]] = []
    best = math.nan
    for step, record in enumerate(records, 1):
        numbers = {name: or_nan(record[name]) for name in ("value", "cost_seconds", "finished_at")}
        value = numbers["value"]
        best = value if math.isnan(best) or value > best else best
        row = record | numbers | {"optimizer": optimizer, "seed": seed, "step": step, "best": best}
        rows.append({name: row[name] for name in RUNS.names})
    return rows


def write_runs(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes rows of any number of runs as one Parquet file, all or nothing."""
    write_parquet(path, _table(rows))


def read_runs(path: Path) -> pd.DataFrame:
    """Reads what `write_runs` wrote; raises `TableCorruptError` for anything else."""
    return read_parquet(path, RUNS).to_pandas()


def _table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=RUNS)


def write_cards(path: Path, cards: Sequence[ModelCard], expected: Sequence[float]) -> None:
    """Writes the cards of runs with what each scores on average, all or nothing."""
    rows = [
        {"card_hash": card.hash, "card": card.to_json(), "expected": value}
        for card, value in zip(cards, expected, strict=True)
    ]
    write_parquet(path, pa.Table.from_pylist(rows, schema=CARDS))


def read_cards(path: Path) -> pd.DataFrame:
    """Reads what `write_cards` wrote; raises `TableCorruptError` for anything else."""
    return read_parquet(path, CARDS).to_pandas()
