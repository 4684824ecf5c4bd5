"""`flexnas-bench import`: figures from elsewhere become tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flexnas_bench.cli.output import say
from flexnas_bench.published.importer import import_published

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
