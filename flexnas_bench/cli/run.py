"""`flexnas-bench run`: one optimizer, many seeds, a table and a picture."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from flexnas_bench.benchmark import Result, load_benchmark
from flexnas_bench.cli.output import Json, StoreOption, describe, print_json, progress_bar, say, say_error, to_json
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import OptionError
from flexnas_bench.optimizers.base import INITIAL
from flexnas_bench.optimizers.registry import optimizer_class, optimizer_options
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8
from flexnas_bench.searching.journal import count_records, journals
from flexnas_bench.searching.runner import Search, prepare
from flexnas_bench.searching.runs import RUNS_FILE, Run
from flexnas_bench.searching.seeds import search_seeds
from flexnas_bench.storage import write_bytes

PICTURE = "best_so_far.png"
SUMMARY = "summary.json"
MOST = 100_000  # seeds, processes


def run(
    optimizer: Annotated[str, typer.Option(help="Who proposes; `flexnas-bench optimizers` lists all.")] = "boshnas",
    space: Annotated[str, typer.Option(help="Design space: pool, the 491 trained cards, or another.")] = "pool",
    task: Annotated[str, typer.Option(help="Task whose score is maximised.")] = GLUE8,
    protocol: Annotated[str, typer.Option(help="Training recipe.")] = DEFAULT_PROTOCOL,
    budget: Annotated[
        str, typer.Option(help="Evaluations a seed, or a simulated time of training such as 90m, 12h or 2d.")
    ] = "60",
    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 up.")] = 1,
    jobs: Annotated[int, typer.Option(help="Processes, one thread each.")] = 1,
    embedding: Annotated[str, typer.Option(help="Vectors that the optimizer sees.")] = OneHot.name,
    initial: Annotated[
        str,
        typer.Option(help="Random cards to begin with, or paper12: the paper's 12 initial models or their nearest."),
    ] = str(INITIAL),
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the optimizer, as name=value; may be given again.")
    ] = None,
    until_converged: Annotated[
        bool, typer.Option("--until-converged", help="Stop a seed once it has converged (paper, section 4.1).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs; an interrupted search goes on where it stopped.")
    ] = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Search a space with an optimizer, and show how good the best card was after every evaluation."""
    if not (1 <= seeds <= MOST and 1 <= jobs <= MOST):
        raise OptionError(f"--seeds and --jobs must be 1 to {MOST:,}")
    arguments: dict[str, Any] = {
        "optimizer": optimizer,
        "space": space,
        "task": task,
        "budget": budget,
        "protocol": protocol,
        "embedding": embedding,
        "initial": int(initial) if initial.removeprefix("-").isdecimal() and len(initial) < 16 else initial,
        "until_converged": until_converged,
        **_options(option or [], optimizer),
    }
    prepared = prepare(load_benchmark(store=store), **arguments)  # before anything is started
    settings = prepared.settings
    folder = out or Path("runs") / settings.label
    timed = prepared.budget.seconds < math.inf
    total = math.inf if timed else seeds * min(prepared.budget.evaluations, prepared.space.size)
    with progress_bar(f"{optimizer} on {settings.space}, {task}", total) as progress:
        try:
            runs = search_seeds(arguments, range(seeds), folder, store=store, jobs=jobs, progress=progress)
        except (KeyboardInterrupt, SystemExit):
            if any(map(count_records, journals(folder).values())):
                say_error(f"What was finished is kept in {folder}; the same command goes on from there.")
            raise
    for seed, one in enumerate(runs):
        if not one.rows:
            raise OptionError(f"--budget: in {budget} not one evaluation of seed {seed} would have ended")
    _draw(prepared, runs, folder)
    summary = _summary(prepared, runs, folder)
    write_bytes(folder / SUMMARY, to_json(summary).encode())
    if as_json:
        print_json(summary)
    else:
        _show(summary)


def _options(texts: list[str], optimizer: str) -> dict[str, Any]:
    """Options from `name=value` texts."""
    if ":" in optimizer and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a module in the folder one works in, as `python -m` would find it
    known = optimizer_options(optimizer_class(optimizer))
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.replace("-", "_")
        if not equals:
            raise OptionError(f"--option {text!r} is not of the form name=value")
        if name not in known:
            raise OptionError(f"unknown option {name!r}; the optimizer takes {', '.join(known) or 'none'}")
        try:
            options[name] = json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options


def _draw(search: Search, runs: list[Run], folder: Path) -> None:
    import pandas as pd

    from flexnas_bench.figures.trajectory import draw_trajectories

    frame, settings, bench = pd.concat([run.frame for run in runs]), search.settings, search.bench
    values = bench.query_many(search.space, settings.task, settings.protocol)
    found = bench.query(frame["card_hash"].iloc[0], settings.task, settings.protocol)
    draw_trajectories(
        frame,
        folder / PICTURE,
        title=f"{settings.optimizer} on space {settings.space}",
        ylabel=f"best {settings.task} so far (points)",
        note=f"{' and '.join(sorted(frame['origin'].unique()))} scores, protocol {settings.protocol}: "
        f"{bench.cite(found)}",
        optimum=float(np.nanmax(values)),
    )


def _milestones(longest: int) -> list[int]:
    """Steps worth a row of the table: 10, 20, 40, and the last."""
    return sorted({step for step in (10, 20, 40) if step < longest} | {longest})


def _summary(search: Search, runs: list[Run], folder: Path) -> dict[str, Any]:
    import pandas as pd

    from flexnas_bench.searching.analysis import best_so_far, estimate

    bench, settings, initial = search.bench, search.settings, search.make(0).initial_size
    best = estimate(best_so_far(pd.concat([run.frame for run in runs])).to_numpy())
    rows = [row for run in runs for row in run.rows]
    winner = max(rows, key=lambda row: -math.inf if math.isnan(row["value"]) else row["value"])
    converged = {run.rows[0]["seed"]: run.converged_at for run in runs}
    when = [step for step in converged.values() if step is not None]
    return {
        "settings": asdict(settings),
        "seeds": len(runs),
        "best_so_far": [
            {"step": step, "mean": best.mean[step - 1], "low": best.low[step - 1], "high": best.high[step - 1]}
            for step in _milestones(len(best.mean))
        ],
        "best_card": bench.card(winner["card_hash"]).to_dict(),
        "best_result": asdict(bench.query(winner["card_hash"], settings.task, settings.protocol)),
        "seeds_that_found_it": len({row["seed"] for row in rows if row["card_hash"] == winner["card_hash"]}),
        "converged_at": converged,
        "seeds_converged": len(when),
        "converged_at_median": median(when) if when else None,
        "ask_seconds_mean": fmean([row["ask_seconds"] for row in rows if row["step"] > initial] or [0.0]),
        "evaluations": len(rows),
        "notes": list(_notes(search, initial, len(rows), folder)),
        "runs": str(folder / RUNS_FILE),
        "picture": str(folder / PICTURE),
    }


def _notes(search: Search, initial: int, shown: int, folder: Path) -> Iterator[str]:
    """What somebody may not have meant."""
    size = search.space.size
    if math.inf > search.budget.evaluations > size:
        yield f"space {search.settings.space} has {size:,} cards, where a search ends"
    if search.budget.evaluations < initial:
        yield f"the budget ends within the {initial} cards that all begin with, before the optimizer proposes any"
    there = sum(map(count_records, journals(folder).values()))
    if there > shown:
        yield f"the folder has {there:,} evaluations, {shown:,} of them are shown here"


def _show(summary: dict[str, Any]) -> None:
    settings, result = summary["settings"], Result(**summary["best_result"])
    table = Table("evaluations", "mean best so far", "90 % interval", box=None)
    for row in summary["best_so_far"]:
        interval = f"{row['low']:.2f} to {row['high']:.2f}" if summary["seeds"] > 1 else "one seed"
        table.add_row(str(row["step"]), f"{row['mean']:.2f}", interval)
    say(f"{settings['optimizer']} on {settings['space']}, {settings['task']}, seeds: {summary['seeds']}")
    say(table)
    say(f"best card: {describe(result)}; found by {summary['seeds_that_found_it']} of {summary['seeds']} seeds")
    say(json.dumps(summary["best_card"]))
    if summary["seeds_converged"]:
        say(
            "criterion of section 4.1 (five evaluations without a better score) met by "
            f"{summary['seeds_converged']} of {summary['seeds']} seeds, "
            f"at {summary['converged_at_median']:g} evaluations in the median"
        )
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"runs in {summary['runs']}, picture {summary['picture']}; {summary['ask_seconds_mean']:.2f} s a proposal")
