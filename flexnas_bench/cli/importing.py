"""`flexnas-bench import`: figures from elsewhere become tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexnas_bench.cli.output import say
from flexnas_bench.measured import import_measured
from flexnas_bench.own_table import import_table
from flexnas_bench.published.importer import import_published
from flexnas_bench.results import ORIGINS
from flexnas_bench.store import Store

import_app = typer.Typer(help="Import figures from elsewhere as tables.")


@import_app.callback()
def _group() -> None:
    """Import figures from elsewhere as tables."""


@import_app.command(epilog="Example: flexnas-bench import published ../shared/published --out data")
def published(
    folder: Annotated[Path, typer.Argument(help="Folder with nas_bench_bert_2023/ and flexibert_2023/.")],
    out: Annotated[Path, typer.Option(help="Folder that the tables are written to.")] = Path("data"),
) -> None:
    """Build the shipped tables from published figures; the same figures give the same bytes."""
    rows = import_published(folder, out)
    for name, count in rows.items():
        say(f"{out / name}: {count:,} rows")


@import_app.command(epilog="Example: flexnas-bench import measured runs/measured --protocol cpu-lite --out data")
def measured(
    store: Annotated[Path, typer.Argument(help="Folder of results that `fill` or `train` has written.")],
    protocol: Annotated[str, typer.Option(help="Whose scores to take.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables that they are added to.")] = Path("data"),
) -> None:
    """Add scores that were measured here to the shipped tables."""
    fresh = import_measured(Store(store), protocol, out)
    say(f"{store}: {fresh:,} trainings of protocol {protocol} that {out} did not have")


@import_app.command(epilog="Example: flexnas-bench import table scores.csv --space space.toml --out my-results")
def table(
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file: a column model_card, the rest scores.")],
    space: Annotated[str, typer.Option(help="Design space of the cards: a .toml file, or a name.")],
    out: Annotated[Path, typer.Option(help="Store that the trainings are added to.")],
    protocol: Annotated[str | None, typer.Option(help="Name of the training recipe; by default the file's.")] = None,
    origin: Annotated[str, typer.Option(help="measured, or published for trainings of others.")] = ORIGINS[0],
    source: Annotated[str, typer.Option(help="Who says so: a key of sources.toml in the store.")] = "own",
    tasks: Annotated[str | None, typer.Option(help="Columns that are scores, such as sst2,qnli; else all.")] = None,
    scale: Annotated[float, typer.Option(help="Factor that makes points of scores: 100 for fractions.")] = 1.0,
) -> None:
    """Add a table of cards and scores of your own to a store, for `query`, `run`, `compare` and `embed`."""
    columns = None if tasks is None else [task.strip() for task in tasks.split(",")]
    found = import_table(file, space, out, protocol=protocol, origin=origin, source=source, tasks=columns, scale=scale)
    say(f"{file}: {found.trainings:,} trainings, {found.fresh:,} scores that {out} did not have")
    for task, path in found.spaces.items():
        say(f"{path}: {found.cards[task]:,} cards with a score of {task}, as a space to search")
