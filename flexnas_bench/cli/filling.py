"""`fill`: many cards become measured scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flexnas_bench.card import ModelCard, names_by_hash
from flexnas_bench.cli.lookup import OverlapOption
from flexnas_bench.cli.output import Json, print_json, say, say_error
from flexnas_bench.cli.training import DataOption, DeviceOption, ProtocolOption, read_tasks
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import OptionError
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.loading import load_benchmark
from flexnas_bench.optimizers.registry import make_optimizer
from flexnas_bench.results import METRICS, SCRATCH
from flexnas_bench.space import load_space

if TYPE_CHECKING:
    from flexnas_bench.filling.engine import Engine
    from flexnas_bench.filling.fill import Filler
    from flexnas_bench.filling.known import Known
    from flexnas_bench.filling.plan import Planner
    from flexnas_bench.filling.source import Source
    from flexnas_bench.filling.worker import Work
    from flexnas_bench.searching.budget import Budget

    #: Makes the source of jobs, once the store is there.
    Begin = Callable[[Planner, Known, Work], AbstractContextManager[Source]]

ENGINES = ("local", "ray")


def fill(
    context: typer.Context,
    store: Annotated[Path, typer.Option("--store", help="Folder of results; trainings are in a folder in it.")],
    cards: Annotated[
        Path | None, typer.Option(help="File of cards, one a line: a name, a hash or JSON; .jsonl files too.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="Who proposes cards, in place of --cards.")] = None,
    space: Annotated[str, typer.Option(help="Design space of the optimizer.")] = "g1",
    embedding: Annotated[str, typer.Option(help="Vectors that the optimizer sees.")] = OneHot.name,
    budget: Annotated[
        str | None, typer.Option(help="Number of trainings, or a time such as 25m after which all is interrupted.")
    ] = None,
    protocol: ProtocolOption = "cpu-lite",
    tasks: Annotated[str, typer.Option(help="Tasks of GLUE, such as rte,mrpc; or glue8, glue9.")] = "glue8",
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first replicate, and of the optimizer.")] = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Trainings of each card, with a seed each.")] = 1,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Pre-train every card, none from the weights of another.")
    ] = False,
    overlap: OverlapOption = THRESHOLD,
    engine: Annotated[str, typer.Option(help="local, this machine, or ray, a cluster.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Cards at once on each device of this machine.")] = 1,
    device: DeviceOption = "auto",
    address: Annotated[str, typer.Option(help="Of the Ray cluster.")] = "auto",
    cpus: Annotated[float, typer.Option(min=0.01, help="Cores of a training, of a Ray cluster.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of a training, or a fraction, of a Ray cluster.")] = 0,
    attempts: Annotated[int, typer.Option(min=1, help="At a training, before it is given up.")] = 2,
    as_json: Json = False,
) -> None:
    """Train what a table lacks: many cards, in a good order, on one machine or on many; goes on where it stopped."""
    from flexnas_bench.filling.fill import Filler
    from flexnas_bench.filling.known import Known, read_card_list
    from flexnas_bench.filling.plan import Planner
    from flexnas_bench.filling.worker import Work
    from flexnas_bench.searching.budget import Budget
    from flexnas_bench.store import Store

    if (cards is None) == (optimizer is None):
        raise OptionError("what to train: a file by --cards, or an --optimizer, and not both")
    if engine not in ENGINES:
        raise OptionError(f"--engine: {engine} is not one of {', '.join(ENGINES)}")
    if optimizer is not None and budget is None:
        raise OptionError("--optimizer needs a --budget")
    _refuse_idle(context, "--cards" if optimizer is None else "--optimizer", scratch, engine)
    limit = Budget() if budget is None else Budget.read(budget)
    protocol = str(Path(protocol).resolve()) if protocol.endswith(".toml") else protocol  # of other machines too
    work = Work(protocol, store.resolve(), data and data.resolve(), device, overlap)
    names = tuple(read_tasks(tasks))
    bench = load_benchmark(store=work.store if Store(work.store).exists() else None)
    seeds = range(seed, seed + replicates)
    known = Known(bench, work.recipe.name)
    if cards is not None:
        begin = _planned(read_card_list(cards, bench), seeds, limit)
    else:
        begin = _proposed(str(optimizer), space, embedding, tasks, seed, limit)
    with _engine(engine, work, workers, device, address, cpus, gpus) as where:
        work.prepare(names)
        planner = Planner(names, known, work.folders, None if scratch else overlap)
        there = sum(planner.complete(card, seed) is not None for card in known.cards(seed))
        with begin(planner, known, work) as source, _live(where, work) as tell:
            filler = Filler(source, where, work.folder, attempts, limit.seconds, tell)
            try:
                outcomes = filler.run()
            except (KeyboardInterrupt, SystemExit):
                say_error(f"What was finished is kept in {store}; the same command goes on from there.")
                raise
            left = filler.left
    if as_json:
        print_json({"store": str(work.store), "left": left, "trainings": [_facts(one) for one in outcomes]})
    else:
        _show(outcomes, left, names, work)
        say(f"{there} cards of seed {seed} had all scores before; `query --store` and `Store.rows` have them")
        if left:
            say("time is up: the same command goes on from there")
    if not all(map(_finished, outcomes)):
        raise typer.Exit(1)


def _refuse_idle(context: typer.Context, chosen: str, scratch: bool, engine: str) -> None:
    """Refuses options that would do nothing."""
    idle = {
        "--cards": ("space", "embedding"),
        "--optimizer": ("replicates",),
        "--scratch": ("overlap",),
        "--engine local": ("address", "cpus", "gpus"),
        "--engine ray": ("workers",),
    }
    for given in (chosen, f"--engine {engine}", *(["--scratch"] if scratch else [])):
        for name in idle[given]:
            if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE":
                raise OptionError(f"--{name} does nothing with {given}")


def _planned(cards: Sequence[ModelCard], seeds: Sequence[int], limit: Budget) -> Begin:
    from flexnas_bench.filling.planned import Planned

    return lambda planner, _known, _work: nullcontext(Planned(planner, cards, seeds, limit.evaluations))


def _proposed(name: str, space: str, embedding: str, task: str, seed: int, limit: Budget) -> Begin:
    from flexnas_bench.filling.proposed import Proposals, Proposed

    if task not in METRICS:
        raise OptionError(f"--tasks: an optimizer is told one score, such as glue8 or rte, and not {task}")
    optimizer = make_optimizer(name, space=load_space(space), seed=seed, embedding=embedding)
    search = sha256(f"{name} {space} {embedding} {task} {seed}".encode()).hexdigest()[:8]

    @contextmanager
    def begin(planner: Planner, known: Known, work: Work) -> Iterator[Source]:
        with Proposals(work.trainings / f"{name}-{search}.proposals.jsonl") as proposals:
            yield Proposed(optimizer, limit.evaluations, planner, known, proposals, seed)

    return begin


def _engine(name: str, work: Work, workers: int, device: str, address: str, cpus: float, gpus: float) -> Engine:
    if name == "ray":
        from flexnas_bench.filling.cluster import RayEngine

        return RayEngine(work, address, cpus, gpus)
    from flexnas_bench.filling.local import LocalEngine, devices_of

    return LocalEngine(work, workers, devices_of(device))


@contextmanager
def _live(engine: Engine, work: Work) -> Iterator[Callable[[Filler], None] | None]:
    """A table on the terminal that is drawn anew every second; elsewhere a line whenever a training ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _ends()
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda filler: live.update(_picture(filler, engine, work), refresh=True)


def _ends() -> Callable[[Filler], None]:
    told = 0

    def tell(filler: Filler) -> None:
        nonlocal told
        for one in filler.outcomes[told:]:
            scores = ", ".join(f"{task} {_cell(value)}" for task, value in one.scores.items())
            what = scores if _finished(one) else f"{one.ending}: {one.why}"
            say_error(f"{_name(one.job.card)}, seed {one.job.replicate}: {what} ({one.seconds:,.0f} s)")
        told = len(filler.outcomes)

    return tell


def _picture(filler: Filler, engine: Engine, work: Work) -> Group:
    from flexnas_bench.filling.progress import stage

    now = time.monotonic()
    table = Table("at work", "parameters", "seed", "from", "for", "")
    for job in engine.running:
        since = now - filler.started[job.name]
        done = stage(work.folder(job.name), job)
        table.add_row(*_card_cells(job, _giver(job)), f"{since:,.0f} s", done)
    return Group(Text(_headline(filler, engine, now)), table)


def _headline(filler: Filler, engine: Engine, now: float) -> str:
    from flexnas_bench.filling.progress import seconds_left

    done, running = len(filler.outcomes), engine.running
    text = f"{engine.where}: {done} cards done, {len(running)} at work, {len(filler.waiting)} to come"
    spent = now - filler.begun
    seconds = seconds_left(filler.outcomes, [*running, *filler.waiting], max(len(running), 1))
    if not math.isnan(seconds):
        text += f"; {done / spent * 3600:.1f} cards an hour"
    seconds = min(filler.seconds - spent, seconds)  # in this order, so that NaN gives way
    return text if math.isnan(seconds) or math.isinf(seconds) else f"{text}, about {seconds / 60:,.0f} min left"


def _giver(job: Job) -> str:
    """Where its weights are to come from."""
    return SCRATCH if job.donor is None else job.donor.hash


def _card_cells(job: Job, init: str) -> tuple[str, str, str, str]:
    return _name(job.card), f"{job.card.parameters:,}", str(job.replicate), init[:12]


def _name(card: ModelCard) -> str:
    """As the literature calls it, or the beginning of its hash."""
    return names_by_hash().get(card.hash, card.hash[:12])


def _show(outcomes: Sequence[Outcome], left: int, tasks: Sequence[str], work: Work) -> None:
    """What came of it."""
    title = f"measured, protocol {work.recipe.name}"
    table = Table("card", "parameters", "seed", "from", "seconds", *tasks, "", title=title)
    for one in outcomes:
        scores = [_cell(one.scores.get(task)) for task in tasks]
        ending = "" if _finished(one) else f"{one.ending}: "
        table.add_row(
            *_card_cells(one.job, one.init or _giver(one.job)), f"{one.seconds:,.0f}", *scores, ending + one.why
        )
    if outcomes:
        say(table)
    done = sum(map(_finished, outcomes))
    say(f"{done} trainings done, {len(outcomes) - done} given up, {left} left; in {work.store}")


def _finished(one: Outcome) -> bool:
    return one.ending == Ending.FINISHED


def _cell(value: float | None) -> str:
    return "" if value is None else "diverged" if math.isnan(value) else f"{value:.2f}"


def _facts(one: Outcome) -> dict[str, Any]:
    return {
        "hash": one.job.card.hash,
        "card": one.job.card.to_dict(),
        "seed": one.job.replicate,
        "init": one.init or None,
        "ending": str(one.ending),
        "why": one.why,
        "seconds": one.seconds,
        "scores": dict(one.scores),
    }
