"""Searches that are kept while they run, and shipped when they are done."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.runs import CARDS, RUNS
from flexnas_bench.searching.seeds import search_seeds
from flexnas_bench.searching.settings import SETTINGS_FILE
from flexnas_bench.storage import write_bytes, write_checksums, write_parquet

ROOT = Path(__file__).parents[1]
#: Decimals of simulated and real seconds in shipped runs: more would be most of the files.
DECIMALS = {"finished_at": 0, "ask_seconds": 3}


def run(out: Path, name: str, settings: Mapping[str, Any], seeds: int, jobs: int) -> Path:
    """Runs a method in a folder of `out`, as far as it has not been, and returns the folder."""
    folder = out / name.replace(", ", "+").replace(" ", "-")
    search_seeds(settings, range(seeds), folder, jobs=jobs)
    print(f"{out.name}: {name} is done", flush=True)
    return folder


def read(folders: Mapping[str, Path]) -> Comparison:
    """The runs of folders, by the names of methods."""
    found = [Comparison.read([folder]) for folder in folders.values()]
    frames = {name: next(iter(one.frames.values())) for name, one in zip(folders, found, strict=True)}
    cards = pd.concat([one.cards for one in found if one.cards is not None]).drop_duplicates("card_hash")
    return Comparison(frames, cards, found[0].problem)


def ship(name: str, comparison: Comparison, folders: Mapping[str, Path]) -> None:
    """Writes runs, cards and settings where they are shipped."""
    methods = {method: json.loads((folder / SETTINGS_FILE).read_text()) for method, folder in folders.items()}
    frame = pd.concat([frame.assign(optimizer=method) for method, frame in comparison.frames.items()]).round(DECIMALS)
    tables = {f"runs/{name}.parquet": (frame, RUNS), f"runs/{name}_cards.parquet": (comparison.cards, CARDS)}
    for file, (table, schema) in tables.items():
        write_parquet(ROOT / "data" / file, pa.Table.from_pandas(table, schema, preserve_index=False))
    settings = f"runs/{name}_{SETTINGS_FILE}"
    facts = {**comparison.problem, "methods": methods}
    write_bytes(ROOT / "data" / settings, (json.dumps(facts, indent=2) + "\n").encode())
    write_checksums(ROOT / "data", [*tables, settings])
