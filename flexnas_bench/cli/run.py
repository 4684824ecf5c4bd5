"""`flexnas-bench run`: one optimizer, many seeds, a table and a picture."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexnas_bench.cli.output import Json, StoreOption, print_json, progress_bars, say_error, to_json
from flexnas_bench.cli.summary import draw, show, summarise
from flexnas_bench.cli.training import DataOption, DeviceOption
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.optimizers.base import INITIAL
from flexnas_bench.optimizers.registry import optimizer_class, optimizer_options
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8
from flexnas_bench.searching.journal import count_records, journals
from flexnas_bench.searching.runner import prepare
from flexnas_bench.searching.seeds import search_seeds
from flexnas_bench.storage import write_bytes

if TYPE_CHECKING:
    from flexnas_bench.searching.live import LiveTraining

SUMMARY = "summary.json"
MOST = 100_000  # seeds, processes


def run(
    optimizer: Annotated[str, typer.Option(help="Who proposes; `flexnas-bench optimizers` lists all.")] = "boshnas",
    space: Annotated[str, typer.Option(help="Design space: pool, the 491 trained cards, or another.")] = "pool",
    levels: Annotated[
        str | None, typer.Option(help="Spaces from coarse to fine in place of --space, such as g1,g2,g3.")
    ] = None,
    task: Annotated[str, typer.Option(help="Task whose score is maximised.")] = GLUE8,
    protocol: Annotated[str, typer.Option(help="Training recipe.")] = DEFAULT_PROTOCOL,
    kind: Annotated[
        str, typer.Option(help="Scores: table, surrogate (predicted), or auto, the table where it has all cards.")
    ] = "auto",
    noisy: Annotated[bool, typer.Option("--noisy", help="Draw predictions as a training would.")] = False,
    budget: Annotated[
        str,
        typer.Option(
            help="Evaluations a seed, or a time of training such as 90m, 12h or 2d; simulated, but for --live."
        ),
    ] = "60",
    seeds: Annotated[int, typer.Option(help="Number of seeds, 0 up.")] = 1,
    jobs: Annotated[int, typer.Option(help="Processes, one thread each.")] = 1,
    workers: Annotated[int, typer.Option(help="Simulated workers, each training a card at a time.")] = 1,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Simulate weight transfer: near a trained card only fine-tuning costs.")
    ] = False,
    overlap: Annotated[float, typer.Option(help="Fraction of its layers a card must share for that.")] = THRESHOLD,
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
    live: Annotated[
        bool, typer.Option("--live", help="Train every card for real, under a protocol that can be run (see train).")
    ] = False,
    data: DataOption = None,
    device: DeviceOption = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs, needed by --live; an interrupted search goes on where it stopped."),
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
        "kind": kind,
        "noisy": noisy,
        "workers": workers,
        "transfer": transfer,
        "overlap": overlap,
        "levels": None if levels is None else [name.strip() for name in levels.split(",")],
        "embedding": embedding,
        "initial": int(initial) if initial.removeprefix("-").isdecimal() and len(initial) < 16 else initial,
        "until_converged": until_converged,
        **_options(option or [], optimizer),
    }
    if not live and (data is not None or device != "auto"):
        raise OptionError("--data and --device are of trainings; without --live there are none")
    with progress_bars() as tell:
        if live:
            arguments["live"] = _live(jobs, out, protocol, store, data, device, transfer, overlap, tell)
            store = None  # which the training itself looks up in
        prepared = prepare(load_benchmark(store=store), **arguments)  # before anything is started
        settings = prepared.settings
        folder = out or Path("runs") / settings.label
        timed = prepared.budget.seconds < math.inf
        total = math.inf if timed else seeds * min(prepared.budget.evaluations, prepared.levels[-1].size)
        what = f"{optimizer} on {settings.space}, {task}"

        def progress(done: int) -> None:
            if tell is not None:
                tell(what, done, total)

        try:
            runs = search_seeds(
                arguments, range(seeds), folder, store=store, jobs=None if live else jobs, progress=progress
            )
        except (KeyboardInterrupt, SystemExit):
            if live or any(map(count_records, journals(folder).values())):
                say_error(f"What was finished is kept in {folder}; the same command goes on from there.")
            raise
    for seed, one in enumerate(runs):
        if not one.rows:
            raise OptionError(f"--budget: in {budget} not one evaluation of seed {seed} would have ended")
    draw(prepared, runs, folder)
    summary = summarise(prepared, runs, folder)
    write_bytes(folder / SUMMARY, to_json(summary).encode())
    if as_json:
        print_json(summary)
    else:
        show(summary)


def _live(
    jobs: int,
    out: Path | None,
    protocol: str,
    store: Path | None,
    data: Path | None,
    device: str,
    transfer: bool,
    overlap: float,
    progress: Callable[[str, int, float], None] | None,
) -> LiveTraining:
    """How a search trains: in its own folder, so that it can go on there."""
    from flexnas_bench.searching.live import LiveTraining  # torch, which other searches do without

    if out is None:
        raise OptionError("--live needs --out, a folder for its trainings")
    if jobs != 1:
        raise OptionError("--live trains one card at a time, without --jobs; `fill --optimizer` trains several")
    return LiveTraining(protocol, out / "trained", store or out / "store", data, device, transfer, overlap, progress)


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
