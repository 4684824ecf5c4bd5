"""`query` and `optimizers`: what the benchmark knows, and who is installed."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from flexnas_bench.benchmark import KINDS, Benchmark
from flexnas_bench.cli.output import Json, StoreOption, describe, print_json, say
from flexnas_bench.errors import NotMeasuredError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.results import COST_ASSUMPTION, DEFAULT_PROTOCOL, GLUE8, PREDICTED, SCRATCH

CardArgument = Annotated[
    str, typer.Argument(help="A model card as JSON, its hash of 64 hex digits, or a name (bert-tiny, ...).")
]

OverlapOption = Annotated[
    float,
    typer.Option(
        "--overlap", min=0, max=1, help="Least share of layers in common, from the input on, for taking weights."
    ),
]


def query(
    card: CardArgument,
    task: Annotated[str, typer.Option(help="Task; glue8 is the mean of the eight without WNLI.")] = GLUE8,
    protocol: Annotated[str, typer.Option(help="Training recipe.")] = DEFAULT_PROTOCOL,
    kind: Annotated[
        str,
        typer.Option(help="table, of a trained model; surrogate, predicted; auto, either, the table first."),
    ] = "table",
    replicate: Annotated[int | None, typer.Option(help="One training, from 0; the mean over all if not given.")] = None,
    seed: Annotated[int | None, typer.Option(help="Draw a run from the surrogate instead of its mean.")] = None,
    init: Annotated[str, typer.Option(help="scratch, or a donor's hash.")] = SCRATCH,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Look up the score of a card, with where it came from."""
    bench = load_benchmark(store=store)
    try:
        result = bench.query(card, task, protocol, kind, replicate, seed, init=init)
    except NotMeasuredError as error:
        if kind == KINDS[0] and replicate is None and init == SCRATCH and _is_predictable(bench, card, task, protocol):
            raise NotMeasuredError(f"{error}; --kind auto or --kind surrogate predicts it") from None
        raise
    if as_json:
        print_json(asdict(result))
        return
    say(describe(result, drawn=seed is not None and result.origin == PREDICTED))
    say(f"card {result.card_hash}")
    if not result.in_support:
        lacking = bench.surrogate(task, protocol).lacking(bench.card(card))
        say(f"out of support: trained cards lack {', '.join(lacking)}")
    if not math.isnan(result.cost_seconds):
        how = "predicted, " if result.origin == PREDICTED else ""
        say(f"cost {how}{result.cost_seconds:,.0f} s a training{f', {COST_ASSUMPTION}' if result.cost_assumed else ''}")
    say(f"source{' of what it is predicted from' if result.origin == PREDICTED else ''}: {bench.cite(result)}")


def _is_predictable(bench: Benchmark, card: str, task: str, protocol: str) -> bool:
    try:
        bench.query(card, task, protocol, kind="surrogate")
    except NotMeasuredError:
        return False
    return True


def optimizers(as_json: Json = False) -> None:
    """List the installed optimizers with their options."""
    from flexnas_bench.optimizers.registry import REQUIRED, optimizer_class, optimizer_names, optimizer_options

    found: dict[str, dict[str, Any]] = {}
    for name in optimizer_names():
        try:
            kind = optimizer_class(name)
        except OptionError as error:  # somebody's plug-in is broken; the others are not
            found[name] = {"what": f"broken: {error}", "options": {}}
        else:
            summary = (kind.__doc__ or "").strip().partition("\n")[0]
            own = {key: None if value is REQUIRED else value for key, value in optimizer_options(kind).items()}
            found[name] = {"what": summary, "options": own}
    if as_json:
        print_json(found)
        return
    table = Table("name", "what", "options (defaults)", box=None)
    for name, facts in found.items():
        options = ", ".join(f"{key}={value}" for key, value in facts["options"].items())
        table.add_row(name, facts["what"], options)
    say(table)
