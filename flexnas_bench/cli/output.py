"""How the command line speaks: plain lines for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from flexnas_bench.answers import Result
from flexnas_bench.results import MEANS, PREDICTED, SCRATCH

#: Columns of text for a table that no terminal shows.
_FILE_WIDTH = 160
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder of your own results, laid over the shipped ones.")
]


@contextmanager
def progress_bar(label: str, total: float) -> Iterator[Callable[[int], None] | None]:
    """A bar on the terminal, nothing where there is none; without an end where the total is infinite."""
    with progress_bars() as tell:
        yield tell and (lambda done: tell(label, done, total))


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, float], None] | None]:
    """A bar on the terminal for every kind of work that is told of, nothing where there is none."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None if math.isinf(total) else total)
            bar.update(tasks[what], completed=done)

        yield tell


def say(text: str | Table) -> None:
    """Prints a line as it is, or a table, which a file has room for."""
    console = Console(highlight=False, soft_wrap=not isinstance(text, Table))
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(text, markup=False)


def say_error(text: str) -> None:
    """Prints a line on the error stream."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def print_json(value: Any) -> None:
    """Prints `to_json` of a value."""
    print(to_json(value))  # noqa: T201 - for programs, so never wrapped or coloured


def to_json(value: Any) -> str:
    """A value as strict JSON, NaN and infinity as null."""
    return json.dumps(_finite(value), indent=2, allow_nan=False)


def describe(result: Result, *, drawn: bool = False) -> str:
    """A score with its spread, origin and protocol, on one line; `drawn` if a prediction is not the mean."""
    metric = f"mean of {len(MEANS[result.task])} tasks" if result.task in MEANS else result.metric
    trainings = f"mean of {result.n} trainings, sd {result.std:.2f}" if result.n > 1 else "1 training"
    if result.origin == PREDICTED:
        what = "drawn as one training would score" if drawn else "predicted mean"
        trainings = f"{what}; a training differs by sd {result.std:.2f}"
        trainings += "" if result.in_support else "; out of support"
    start = "" if result.init == SCRATCH else f", init {result.init}"
    return f"{result.task} {result.value:.2f} ({metric}, {trainings}), {result.origin}, {result.protocol}{start}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
