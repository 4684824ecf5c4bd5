"""The tables of trainings in a folder of shipped data: made of trainings, and read back as trainings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import TableCorruptError
from flexnas_bench.records import Training, tables_of, training_of
from flexnas_bench.results import (
    ARCHITECTURES,
    ARCHITECTURES_FILE,
    RESULTS,
    RESULTS_FILE,
    RUNS_FILE,
    RUNS_TRAINED,
)
from flexnas_bench.space import load_space
from flexnas_bench.storage import read_parquet


def training_tables(trainings: Iterable[Training]) -> dict[str, pa.Table]:
    """The three tables of trainings by the names of their files; all cards of G1 are among the architectures."""
    trainings = list(trainings)
    runs, results = tables_of(trainings)
    return {ARCHITECTURES_FILE: _architectures(trainings), RUNS_FILE: runs, RESULTS_FILE: results}


def read_trainings(folder: Path) -> list[Training]:
    """The trainings of the tables in a folder, in their order; raises `TableCorruptError`."""
    cards = read_parquet(folder / ARCHITECTURES_FILE, ARCHITECTURES).to_pylist()
    texts = {row["hash"]: row["card"] for row in cards}
    scores: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_parquet(folder / RESULTS_FILE, RESULTS).to_pylist():
        scores[row["run_id"]].append(row)
    runs = read_parquet(folder / RUNS_FILE, RUNS_TRAINED).to_pylist()
    try:
        return [training_of(run | {"card": texts[run["hash"]]}, scores[run["run_id"]]) for run in runs]
    except KeyError as error:
        raise TableCorruptError(f"{folder / RUNS_FILE}: card {error.args[0]:.12} leads nowhere") from None


def _architectures(trainings: Iterable[Training]) -> pa.Table:
    """All cards of G1 by index, then the other trained cards by hash."""
    g1 = load_space("g1")
    trained = {training.card.hash: training.card for training in trainings if training.card not in g1}
    rows = [_architecture(card, index) for index, card in enumerate(g1)]
    rows += [_architecture(trained[digest], None) for digest in sorted(trained)]
    return pa.Table.from_pylist(rows, schema=ARCHITECTURES)


def _architecture(card: ModelCard, g1_index: int | None) -> dict[str, Any]:
    return {
        "hash": card.hash,
        "card": card.to_json(),
        "g1_index": g1_index,
        "layers": card.num_layers,
        "parameters": card.parameters,
        "flops": card.flops(),
    }
