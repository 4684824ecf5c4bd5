"""`figures` and `tables`: those of the paper, again, from what is shipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from flexnas_bench.cli.output import Json, print_json, say
from flexnas_bench.errors import OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.storage import check_target

if TYPE_CHECKING:
    from flexnas_bench.figures.paper.tables import PaperTable

ALL = "all"


def figures(
    numbers: Annotated[list[str], typer.Argument(help="Of the paper's figures: 2, 3, 4, 5, 6, 7, 8; or all.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, their numbers and their captions.")],
) -> None:
    """Draw figures of the paper from shipped tables and runs; nothing is searched or trained."""
    from flexnas_bench.figures.paper.registry import FIGURES

    wanted = _wanted("figure", numbers, FIGURES)
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out: {out} is no folder")
    for name in (name for number in wanted for name in FIGURES[number]):
        check_target(out / f"{name}.png")  # before anything is drawn
    bench = load_benchmark()
    for number in wanted:
        for name, draw in FIGURES[number].items():
            plate = draw(bench)
            command = f"flexnas-bench figures {number} --out {out}"
            plate = replace(plate, caption=f"{plate.caption} Command: {command}.")
            say("\n".join(map(str, plate.save(out, name))))


def tables(
    numbers: Annotated[list[str], typer.Argument(help="Of the paper's tables: 1 to 6; or all.")],
    as_json: Json = False,
) -> None:
    """Show tables of the paper as published, beside what is measured, predicted or settled here."""
    from flexnas_bench.figures.paper.tables import TABLES, paper_table

    bench = load_benchmark()
    found = [paper_table(bench, number) for number in _wanted("table", numbers, TABLES)]
    if as_json:
        print_json([{"title": one.title, "note": one.note, "rows": _records(one)} for one in found])
        return
    for one in found:
        shown = Table(*one.rows.columns, title=one.title, caption=one.note)
        for record in _records(one):
            shown.add_row(*("" if value is None else str(value) for value in record.values()))
        say(shown)


def _records(one: PaperTable) -> list[dict[str, object]]:
    """Its rows, with None where there is nothing."""
    rows = one.rows.astype(object).where(one.rows.notna(), None)
    records: list[dict[str, object]] = rows.to_dict("records")
    return records


def _wanted(what: str, numbers: list[str], known: Iterable[str]) -> list[str]:
    """The numbers asked for, each once; all that there are if `all` is among them."""
    for number in numbers:
        if number not in {*known, ALL}:
            raise OptionError(f"{what} {number!r:.20} is none of {', '.join(known)}, or {ALL}")
    return list(known) if ALL in numbers else list(dict.fromkeys(numbers))
