"""The shipped tables, and a user's own over them, as a benchmark."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.errors import OptionError, shown
from flexnas_bench.protocols import PROTOCOLS, SOURCES, expand_protocols
from flexnas_bench.records import mean_rows
from flexnas_bench.results import (
    ARCHITECTURES,
    ARCHITECTURES_FILE,
    FITTED_FILE,
    ORIGINS,
    RESULTS,
    RESULTS_FILE,
    RUNS_FILE,
    RUNS_TRAINED,
)
from flexnas_bench.storage import read_shipped, read_shipped_toml, read_toml
from flexnas_bench.store import Store

if TYPE_CHECKING:
    from flexnas_bench.surrogate.fitted import FittedModel


def load_benchmark(name: str = "flexibert", store: Path | str | None = None) -> Benchmark:
    """The benchmark over the shipped tables, and over a user's own results as they are now.

    >>> load_benchmark("flexibert").best("glue8").n
    1

    Args:
        name: `flexibert`.
        store: folder of a `Store`; its scores lie over the shipped ones.

    Raises:
        OptionError: for another name, or a store that describes a shipped protocol or source otherwise.
        RunMismatchError: there is no store in the folder.
        TableCorruptError: a shipped table, or a part of the store, is not what was written.
    """
    if str(name).lower() != "flexibert":
        raise OptionError(f"unknown benchmark {shown(name)}; there is flexibert")
    shipped = _shipped()
    if store is None:
        return shipped
    own = Store(store)
    rows = own.rows()
    cards = {row["hash"]: row["card"] for row in rows}
    return Benchmark(
        [*_shipped_scores(), *rows, *mean_rows(rows)],
        lambda: _shipped_cards() | cards,
        _described(shipped.protocols, own, PROTOCOLS, {row["protocol"] for row in rows}),
        _described(shipped.sources, own, SOURCES, {row["source"] for row in rows}),
        lambda: _shipped_fitted() | _own_fitted(own),
    )


@cache
def _shipped() -> Benchmark:
    protocols, sources = expand_protocols(read_shipped_toml(PROTOCOLS)), read_shipped_toml(SOURCES)
    return Benchmark(_shipped_scores(), _shipped_cards, protocols, sources, _shipped_fitted)


@cache
def _shipped_scores() -> list[dict[str, Any]]:
    trainings = {row["run_id"]: row for row in read_shipped(RUNS_FILE, RUNS_TRAINED).to_pylist()}
    scores = [trainings[row["run_id"]] | row for row in read_shipped(RESULTS_FILE, RESULTS).to_pylist()]
    return scores + mean_rows(score for score in scores if score["origin"] == ORIGINS[0])  # published ones are there


@cache
def _shipped_cards() -> dict[str, str]:
    table = read_shipped(ARCHITECTURES_FILE, ARCHITECTURES)
    return dict(zip(table["hash"].to_pylist(), table["card"].to_pylist(), strict=True))


@cache
def _shipped_fitted() -> dict[str, FittedModel]:
    from flexnas_bench.surrogate.fitted import read_fitted  # scipy, which look-ups do not need

    return read_fitted(read_shipped_toml(FITTED_FILE), FITTED_FILE)


def _own_fitted(store: Store) -> dict[str, FittedModel]:
    from flexnas_bench.surrogate.fitted import read_fitted  # likewise

    path = store.folder / FITTED_FILE
    return read_fitted(read_toml(path), str(path)) if path.exists() else {}


def _described(shipped: dict[str, Any], store: Store, file: str, used: set[str]) -> dict[str, Any]:
    """What the shipped file and the store's own say, and of the other names that they are not described."""
    own = store.described(file)
    for name in own.keys() & shipped.keys():
        if own[name] != shipped[name]:
            raise OptionError(f"{store.folder / file} describes {name} otherwise than flexnas-bench; take another name")
    described = dict(shipped)
    for name in sorted((used | own.keys()) - shipped.keys()):
        missing = f"{name} is not described; an entry [{name}] in {store.folder / file} would describe it."
        unknown = {"summary": missing, "citation": missing, "licence": "not stated"}
        described[name] = unknown | own.get(name, {})
    return described
