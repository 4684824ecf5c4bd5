"""`info`: what a card is and what is known of it, or what the benchmark holds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flexnas_bench.answers import Result
from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.cli.output import Json, StoreOption, describe, print_json, say
from flexnas_bench.errors import NotMeasuredError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.named import NAMED_CARDS
from flexnas_bench.published.figures import FIGURES
from flexnas_bench.space import SPACE_NAMES, load_space


def info(
    card: Annotated[str | None, typer.Argument(help="A card, as for query; everything if not given.")] = None,
    graph: Annotated[
        Path | None, typer.Option(help="Draw the card's computational graph into this file: .svg, .png or .pdf.")
    ] = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Tell what a card is and what is known of it; without a card, what the benchmark holds, and whose it is."""
    bench = load_benchmark(store=store)
    if card is None:
        if graph is not None:
            raise OptionError("--graph draws a card; name one")
        facts = _bench_facts(bench)
        print_json(facts) if as_json else _show_bench(facts)
        return
    found = bench.card(card)
    facts = _card_facts(bench, found)
    if graph is not None:
        from flexnas_bench.figures.architecture import draw_architecture

        draw_architecture(found, graph)
        facts["graph"] = str(graph)
    print_json(facts) if as_json else _show_card(bench, facts)


def _card_facts(bench: Benchmark, card: ModelCard) -> dict[str, Any]:
    return {
        "card": card.to_dict(),
        "hash": card.hash,
        "parameters": card.parameters,
        "flops_128_tokens": card.flops(),
        "spaces": [name for name in SPACE_NAMES if card in load_space(name)],
        "scores": [asdict(result) for result in _scores(bench, card)],
    }


def _scores(bench: Benchmark, card: ModelCard) -> list[Result]:
    """Every score from scratch that the benchmark has of a card, protocol by protocol."""
    results = []
    for protocol in bench.protocols:
        for task in bench.tasks:
            try:
                results.append(bench.query(card, task, protocol))
            except NotMeasuredError:
                continue
    return results


def _show_card(bench: Benchmark, facts: dict[str, Any]) -> None:
    say(f"card: {json.dumps(facts['card'])}")
    say(f"hash: {facts['hash']}")
    say(f"parameters: {facts['parameters']:,}, FLOPs of 128 tokens: {facts['flops_128_tokens']:,}")
    say(f"in spaces: {', '.join(facts['spaces']) or 'none'}")
    results = [Result(**score) for score in facts["scores"]]
    plain = [result for result in results if "curve" not in bench.protocols[result.protocol]]
    for result in plain:
        say(f"  {describe(result)}")
    curves = sorted({bench.protocols[r.protocol]["curve"] for r in results if r not in plain})
    for curve in curves:
        checkpoints = {r.protocol for r in results if bench.protocols[r.protocol].get("curve") == curve}
        say(f"  learning curve {curve}: {len(checkpoints)} checkpoints (Benchmark.trajectory, or --json)")
    if not results:
        say(f"scores: {bench.known(facts['hash'])}")
    if "graph" in facts:
        say(f"graph: {facts['graph']}")


def _bench_facts(bench: Benchmark) -> dict[str, Any]:
    frame = bench.to_frame()
    trainings = frame.drop_duplicates(["card_hash", "protocol", "init", "origin", "replicate"])
    cards = trainings.groupby("protocol")["card_hash"].nunique().to_dict()
    counts = Counter(trainings["protocol"])
    return {
        "trainings": len(trainings),
        "cards_trained": int(frame["card_hash"].nunique()),
        "scores": len(frame),
        "best": asdict(bench.best()),
        "tasks": list(bench.tasks),
        "spaces": {name: load_space(name).size for name in SPACE_NAMES},
        "protocols": {
            name: {"cards": cards.get(name, 0), "trainings": counts[name], **protocol}
            for name, protocol in bench.protocols.items()
        },
        "published": {name: {"title": figure.title, "source": figure.source} for name, figure in FIGURES.items()},
        "sources": bench.sources,
        "named_cards": list(NAMED_CARDS),
    }


def _show_bench(facts: dict[str, Any]) -> None:
    say(f"{facts['scores']:,} scores of {facts['trainings']:,} trainings of {facts['cards_trained']:,} cards")
    say(f"best: {describe(Result(**facts['best']))}")
    say(f"tasks: {', '.join(facts['tasks'])}")
    say("spaces: " + ", ".join(f"{name} ({size:,})" for name, size in facts["spaces"].items()))
    say("protocols:")
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, protocol in facts["protocols"].items():
        if "curve" in protocol:
            curves.setdefault(protocol["curve"], []).append(protocol)
        else:
            say(f"  {name}: {protocol['cards']:,} cards, {protocol['trainings']:,} trainings. {protocol['summary']}")
    for curve, points in curves.items():
        first, last = points[0]["pretraining_steps"], points[-1]["pretraining_steps"]
        extent = f"{points[0]['cards']:,} cards at {len(points)} step counts, {first:,} to {last:,}"
        say(f"  {curve}-step-...k: {extent}. {points[0]['summary']}")
    say("published figures and tables (load_published), on scales of their own:")
    for name, figure in facts["published"].items():
        say(f"  {name}: {figure['title']} ({figure['source']})")
    say("sources:")
    for key, source in facts["sources"].items():
        say(f"  {key}: {source['citation']}")
        say(f"    licence: {source['licence']}")
        if "taken" in source:
            say(f"    taken: {source['taken']}")
    say(f"named cards: {', '.join(facts['named_cards'])}")
