"""From published figures to the shipped tables: what `flexnas-bench import published` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

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
from flexnas_bench.records import Training
from flexnas_bench.results import ORIGINS, POOL, RUNS_FILE
from flexnas_bench.shipped import read_trainings, training_tables
from flexnas_bench.storage import (
    CHECKSUMS,
    data_folder,
    read_checksums,
    read_toml,
    write_bytes,
    write_checksums,
    write_parquet,
)

PUBLISHED = ORIGINS[1]


def import_published(folder: Path, out: Path) -> dict[str, int]:
    """Builds the shipped tables in `out` from the figures in `folder`; the same figures give the same bytes.

    Trainings of other origins that are there stay.

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
    if (out / RUNS_FILE).exists():
        trainings += [training for training in read_trainings(out) if training.origin != PUBLISHED]
    tables = training_tables(trainings) | {"pool.parquet": _pool(pool)} | figures
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


def _pool(trainings: Iterable[Training]) -> pa.Table:
    """The trained cards by hash, without scores: what an optimizer may know."""
    cards = {training.card.hash: training.card.to_json() for training in trainings}
    return pa.Table.from_pylist([{"hash": digest, "card": cards[digest]} for digest in sorted(cards)], schema=POOL)
