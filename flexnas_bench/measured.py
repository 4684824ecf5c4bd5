"""From a store that was filled here to the shipped tables: what `flexnas-bench import measured` does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from flexnas_bench.errors import OptionError, ResultConflictError
from flexnas_bench.protocols import PROTOCOLS, READERS
from flexnas_bench.records import Training, training_of
from flexnas_bench.results import ORIGINS, SCRATCH
from flexnas_bench.shipped import read_trainings, training_tables
from flexnas_bench.storage import read_toml, write_checksums, write_parquet
from flexnas_bench.store import Store

#: Who says so, in `sources.toml`.
SOURCE = "flexnas-bench"
MEASURED = ORIGINS[0]


def import_measured(store: Store, protocol: str, out: Path) -> int:
    """Adds the measured scores of a store under a protocol to the tables in a folder.

    Args:
        store: to read.
        protocol: which `protocols.toml` in the folder must describe.
        out: folder of shipped data.

    Returns:
        Number of trainings that are new; fine-tuning on each task is one.

    Raises:
        OptionError: the store has none, or the folder does not describe the protocol.
        ResultConflictError: a score is there already with another value, or the protocol had other settings.
        TableCorruptError: a table cannot be read. Nothing has been written in any of these cases.
    """
    store.check()
    rows = [row for row in store.rows() if (row["protocol"], row["origin"]) == (protocol, MEASURED)]
    if not rows:
        raise OptionError(f"{store.folder} has no measured score of protocol {protocol}")
    if protocol not in READERS[PROTOCOLS](read_toml(out / PROTOCOLS)):
        raise OptionError(f"{out / PROTOCOLS} does not describe {protocol}")
    there = read_trainings(out)
    known = {_key(one): one for one in there}
    fresh = {}
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        runs[row["run_id"]].append(row)
    for one in (replace(training_of(scores[0], scores), source=SOURCE) for scores in runs.values()):
        if repr(known.get(_key(one), one)) != repr(one):  # as text, so that NaN equals NaN
            raise ResultConflictError(f"{out} has another training of card {one.card.hash[:12]}..., {list(one.scores)}")
        if _key(one) not in known:
            fresh[_key(one)] = one
    if len({one.protocol_hash for one in (*there, *fresh.values()) if one.protocol == protocol}) > 1:
        raise ResultConflictError(f"{out} has scores of protocol {protocol} under other settings")
    tables = training_tables([*there, *sorted(fresh.values(), key=_order)])
    for name, table in tables.items():
        write_parquet(out / name, table)
    write_checksums(out, tables)
    return len(fresh)


def _key(training: Training) -> tuple[object, ...]:
    return training.card.hash, training.protocol, training.init, training.replicate, training.origin, *training.scores


def _order(training: Training) -> tuple[object, ...]:
    return training.replicate, training.init != SCRATCH, training.init, training.card.parameters, _key(training)
