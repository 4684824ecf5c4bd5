"""From published figures to tables: the importer behind `flexnas-bench import published`."""

from __future__ import annotations

import csv
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import FlexnasError, TableCorruptError
from flexnas_bench.results import (
    ARCHITECTURES,
    DEFAULT_PROTOCOL,
    GLUE8,
    GLUE_METRICS,
    POOL,
    RESULTS,
    RUNS_TRAINED,
    SCRATCH,
)
from flexnas_bench.space import load_space
from flexnas_bench.storage import data_folder, write_bytes, write_checksums, write_parquet

GLUE_500 = "nas_bench_bert_2023/glue_500.csv"
SOURCE = "nas-bench-bert-2023"
HARDWARE = "8 TPU cores"
PRETRAIN_STEPS = 100_000


@dataclass(frozen=True)
class Training:
    """One published training: a row of `glue_500.csv`, read and checked."""

    run_id: str
    card: ModelCard
    replicate: int
    pretrain_steps: int
    pretrain_seconds: float
    scores: dict[str, float]

    @property
    def key(self) -> dict[str, Any]:
        """The columns that the table of trainings and the table of scores share."""
        return {
            "run_id": self.run_id,
            "hash": self.card.hash,
            "protocol": DEFAULT_PROTOCOL,
            "init": SCRATCH,
            "replicate": self.replicate,
        }


def import_published(folder: Path, out: Path) -> dict[str, int]:
    """Builds the shipped tables in `out` from the figures in `folder`; the same figures give the same bytes.

    Returns:
        The number of rows of each table written.

    Raises:
        TableCorruptError: a file is missing or a row does not parse; nothing has been written then.
    """
    trainings = list(_read_trainings(folder / GLUE_500))
    tables = {
        "architectures.parquet": _architectures(trainings),
        "pool.parquet": _pool(trainings),
        "runs_trained.parquet": _runs_trained(trainings),
        "results.parquet": _results(trainings),
    }
    for name, described in (("sources.toml", SOURCE), ("protocols.toml", DEFAULT_PROTOCOL)):
        text = (data_folder() / name).read_text(encoding="utf-8")  # checksummed below, so not checked here
        if described not in tomllib.loads(text):
            raise TableCorruptError(f"{name} does not describe {described}")
        write_bytes(out / name, text.encode())
    for name, table in tables.items():
        write_parquet(out / name, table)
    write_checksums(out, [*tables, "sources.toml", "protocols.toml"])
    return {name: table.num_rows for name, table in tables.items()}


def _read_trainings(path: Path) -> Iterator[Training]:
    seen: Counter[str] = Counter()
    run_ids: set[str] = set()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for row in reader:
                try:
                    training = _read_training(row, seen)
                    if training.run_id in run_ids:
                        raise ValueError(f"id {row['id']} stands there twice")
                except (KeyError, TypeError, ValueError, FlexnasError) as error:
                    raise TableCorruptError(f"{path}, line {reader.line_num}: {error}") from None
                run_ids.add(training.run_id)
                seen[training.card.hash] += 1
                yield training
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, TableCorruptError):
            raise
        raise TableCorruptError(f"cannot read {path}: {error}") from None
    if not seen:
        raise TableCorruptError(f"{path} has no rows")


def _read_training(row: dict[str, str], seen: Counter[str]) -> Training:
    card = ModelCard.from_json(row["model_card"])
    scores = {task: float(row[task]) for task in GLUE_METRICS}
    mean = fmean(scores.values())
    if not abs(mean - float(row[GLUE8])) <= 1e-3:  # NaN is no score either
        raise ValueError(f"glue8 is {row[GLUE8]}, the mean of its tasks {mean:.5f}")
    if not 0 < float(row["pretrain_seconds"]) < math.inf:
        raise ValueError(f"pretrain_seconds is {row['pretrain_seconds']}")
    if int(row["pretrain_steps"]) != PRETRAIN_STEPS:
        raise ValueError(f"pretrain_steps is {row['pretrain_steps']}, not the {PRETRAIN_STEPS} of {DEFAULT_PROTOCOL}")
    return Training(
        run_id=f"{SOURCE}/{int(row['id']):03d}",
        card=card,
        replicate=seen[card.hash],
        pretrain_steps=int(row["pretrain_steps"]),
        pretrain_seconds=float(row["pretrain_seconds"]),
        scores=scores | {GLUE8: mean},
    )


def _architectures(trainings: list[Training]) -> pa.Table:
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


def _pool(trainings: list[Training]) -> pa.Table:
    """The trained cards by hash, without scores: what an optimizer may know."""
    cards = {training.card.hash: training.card.to_json() for training in trainings}
    return pa.Table.from_pylist([{"hash": digest, "card": cards[digest]} for digest in sorted(cards)], schema=POOL)


def _runs_trained(trainings: list[Training]) -> pa.Table:
    constant = {"seed": None, "finetune_seconds": None, "hardware": HARDWARE, "origin": "published", "source": SOURCE}
    rows = [
        training.key
        | constant
        | {"pretrain_steps": training.pretrain_steps, "pretrain_seconds": training.pretrain_seconds}
        for training in trainings
    ]
    return pa.Table.from_pylist(rows, schema=RUNS_TRAINED)


def _results(trainings: list[Training]) -> pa.Table:
    metrics = GLUE_METRICS | {GLUE8: "mean"}
    rows = [
        training.key | {"task": task, "metric": metrics[task], "value": value}
        for training in trainings
        for task, value in training.scores.items()
    ]
    return pa.Table.from_pylist(rows, schema=RESULTS)
