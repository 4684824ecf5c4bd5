"""`query`, `info` and `optimizers`: what the benchmark knows."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from flexnas_bench.benchmark import Benchmark, load_benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.cli.output import describe, print_json, say
from flexnas_bench.errors import NotMeasuredError, OptionError
from flexnas_bench.named import NAMED_CARDS
from flexnas_bench.results import GLUE8, SCRATCH
from flexnas_bench.space import SPACE_NAMES, load_space

Card = Annotated[
    str, typer.Argument(help="A model card as JSON, its hash of 64 hex digits, or a name (bert-tiny, ...).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def query(
    card: Card,
    task: Annotated[str, typer.Option(help="Task; glue8 is the mean of the eight without WNLI.")] = GLUE8,
    protocol: Annotated[str | None, typer.Option(help="Training recipe; the default one if not given.")] = None,
    kind: Annotated[str, typer.Option(help="table, or auto.")] = "table",
    replicate: Annotated[int | None, typer.Option(help="One training, from 0; the mean over all if not given.")] = None,
    init: Annotated[str, typer.Option(help="scratch, or a donor's hash.")] = SCRATCH,
    as_json: Json = False,
) -> None:
    """Look up the score of a card, with where it came from."""
    bench = load_benchmark()
    result = bench.query(_named_or_text(card), task, protocol, kind, replicate, init=init)
    if as_json:
        print_json(asdict(result))
        return
    say(describe(result))
    say(f"card {result.card_hash}")
    if not math.isnan(result.cost_seconds):
        assumption = bench.protocols[result.protocol].get("cost", "")
        say(f"cost {result.cost_seconds:,.0f} s a training. {assumption}")
    say(f"source: {bench.sources[result.source]['citation']}")


def info(
    card: Annotated[str | None, typer.Argument(help="A card, as for query; everything if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what a card is and what is known of it; without a card, what the benchmark holds."""
    bench = load_benchmark()
    facts = _card_facts(bench, card) if card is not None else _bench_facts(bench)
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            say(f"{name}")
            for key, text in value.items():
                say(f"  {key}: {text}")
        else:
            say(f"{name}: {value}")


def optimizers(as_json: Json = False) -> None:
    """List the installed optimizers with their options."""
    from flexnas_bench.optimizers.registry import optimizer_class, optimizer_names, optimizer_options

    found: dict[str, dict[str, Any]] = {}
    for name in optimizer_names():
        try:
            kind = optimizer_class(name)
        except OptionError as error:  # somebody's plug-in is broken; the others are not
            found[name] = {"what": f"broken: {error}", "options": {}}
        else:
            summary = (kind.__doc__ or "").strip().partition("\n")[0]
            found[name] = {"what": summary, "options": optimizer_options(kind)}
    if as_json:
        print_json(found)
        return
    table = Table("name", "what", "options (defaults)", box=None)
    for name, facts in found.items():
        options = ", ".join(f"{key}={value}" for key, value in facts["options"].items())
        table.add_row(name, facts["what"], options)
    say(table)


def _named_or_text(text: str) -> ModelCard | str:
    """A card by name; JSON and hashes as they are. Raises `InvalidCardError` for a name that nobody has."""
    return text if text.lstrip().startswith("{") or len(text.strip()) == 64 else ModelCard.named(text)


def _bench_facts(bench: Benchmark) -> dict[str, Any]:
    cards = list(bench.hashes())
    trainings = sum(bench.query(digest).n for digest in cards)
    return {
        "trained cards": f"{len(cards)} ({trainings} trainings)",
        "best": describe(bench.best()),
        "tasks": ", ".join(bench.tasks),
        "spaces": {name: f"{load_space(name).size:,} cards" for name in SPACE_NAMES},
        "protocols": {name: protocol["summary"] for name, protocol in bench.protocols.items()},
        "sources": {key: f"{source['citation']} {source['licence']}" for key, source in bench.sources.items()},
        "named cards": ", ".join(NAMED_CARDS),
    }


def _card_facts(bench: Benchmark, text: str) -> dict[str, Any]:
    found = _named_or_text(text)
    if isinstance(found, str):
        found = ModelCard.from_json(found) if found.lstrip().startswith("{") else bench.card(found)
    scores = {}
    for task in bench.tasks:
        try:
            scores[task] = describe(bench.query(found, task)).removeprefix(f"{task} ")
        except NotMeasuredError:
            continue
    return {
        "card": found.to_json(),
        "hash": found.hash,
        "parameters": f"{found.parameters:,}",
        "FLOPs (128 tokens)": f"{found.flops():,}",
        "in spaces": ", ".join(name for name in SPACE_NAMES if found in load_space(name)) or "none",
        "scores": scores or bench.known(found.hash),
    }
