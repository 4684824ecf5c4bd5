"""From published figures to the shipped tables: what `flexnas-bench import published` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import TableCorruptError
from flexnas_bench.protocols import PROTOCOLS, READERS, SOURCES
from flexnas_bench.published.figures import FIGURES, table_path
from flexnas_bench.published.trainings import (
    CURVES,
    EARLY,
    FLEXIBERT,
    GLUE_500,
    NAS_BENCH_BERT,
    read_curves,
    read_early,
    read_glue_500,
)
from flexnas_bench.records import Training, tables_of
from flexnas_bench.results import ARCHITECTURES, POOL
from flexnas_bench.space import load_space
from flexnas_bench.storage import (
    CHECKSUMS,
    data_folder,
    read_checksums,
    read_toml,
    write_bytes,
    write_checksums,
    write_parquet,
)


def import_published(folder: Path, out: Path) -> dict[str, int]:
    """Builds the shipped tables in `out` from the figures in `folder`; the same figures give the same bytes.

    Returns:
        The number of rows of each table written.

    Raises:
        TableCorruptError: a file is missing or a row does not parse; nothing has been written then.
    """
    pool = read_glue_500(folder / GLUE_500)
    trainings = pool + read_curves(folder / CURVES) + read_early(folder / EARLY)
    for run_id, count in Counter(training.run_id for training in trainings).items():
        if count > 1:
            raise TableCorruptError(f"{folder}: training {run_id} stands there {count} times")
    if (out / CHECKSUMS).exists():
        read_checksums(out)  # refuses what is none before anything is written
    figures = {table_path(name): figure.read(folder) for name, figure in FIGURES.items()}
    runs, results = tables_of(trainings)
    tables = {
        "architectures.parquet": _architectures(trainings),
        "pool.parquet": _pool(pool),
        "runs_trained.parquet": runs,
        "results.parquet": results,
        **figures,
    }
    settings = _settings({training.protocol for training in trainings})
    for name, content in settings.items():
        write_bytes(out / name, content)
    for name, table in tables.items():
        write_parquet(out / name, table)
    write_checksums(out, [*tables, *settings])
    return {name: table.num_rows for name, table in tables.items()}


def _settings(protocols: set[str]) -> dict[str, bytes]:
    """The two files of descriptions, if they describe all that the tables name."""
    needed = {SOURCES: {NAS_BENCH_BERT, FLEXIBERT}, PROTOCOLS: protocols}
    for name, names in needed.items():  # checksummed afterwards, so not checked here
        if missing := names - READERS[name](read_toml(data_folder() / name)).keys():
            raise TableCorruptError(f"{name} does not describe {min(missing)}")
    return {name: (data_folder() / name).read_bytes() for name in needed}


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


def _pool(trainings: Iterable[Training]) -> pa.Table:
    """The trained cards by hash, without scores: what an optimizer may know."""
    cards = {training.card.hash: training.card.to_json() for training in trainings}
    return pa.Table.from_pylist([{"hash": digest, "card": cards[digest]} for digest in sorted(cards)], schema=POOL)
