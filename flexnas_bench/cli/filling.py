"""`fill`: many cards become measured scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flexnas_bench.cli.lookup import OverlapOption
from flexnas_bench.cli.output import Json, print_json, say, say_error
from flexnas_bench.cli.training import DataOption, DeviceOption, ProtocolOption, read_tasks
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.errors import OptionError
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.loading import load_benchmark
from flexnas_bench.optimizers.registry import make_optimizer
from flexnas_bench.results import MEANS, METRICS, SCRATCH
from flexnas_bench.space import load_space

if TYPE_CHECKING:
    from flexnas_bench.filling.engine import Engine
    from flexnas_bench.filling.fill import Filling
    from flexnas_bench.filling.source import Source
    from flexnas_bench.filling.worker import Work
    from flexnas_bench.searching.budget import Budget

ENGINES = ("local", "ray")


def fill(
    store: Annotated[Path, typer.Option("--store", help="Folder of results; trainings are in a folder in it.")],
    cards: Annotated[
        Path | None, typer.Option(help="File of cards, one a line: a name, a hash or JSON; .jsonl files too.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="Who proposes cards, in place of --cards.")] = None,
    space: Annotated[str, typer.Option(help="Design space of the optimizer.")] = "g1",
    embedding: Annotated[str, typer.Option(help="Vectors that the optimizer sees.")] = OneHot.name,
    budget: Annotated[
        str | None, typer.Option(help="Number of cards, or a time such as 25m after which all is interrupted.")
    ] = None,
    protocol: ProtocolOption = "cpu-lite",
    tasks: Annotated[str, typer.Option(help="Tasks of GLUE, such as rte,mrpc; or glue8, glue9.")] = "glue8",
    data: DataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first replicate, and of the optimizer.")] = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Trainings of each card, with a seed each.")] = 1,
    transfer: Annotated[
        bool, typer.Option("--transfer", help="Train few cards from scratch, and others from their weights.")
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
    from flexnas_bench.filling.worker import Work
    from flexnas_bench.searching.budget import Budget

    if (cards is None) == (optimizer is None):
        raise OptionError("what to train: a file by --cards, or an --optimizer, and not both")
    if engine not in ENGINES:
        raise OptionError(f"--engine: {engine} is not one of {', '.join(ENGINES)}")
    if optimizer is not None and (transfer or replicates > 1 or budget is None):
        raise OptionError("--optimizer needs a --budget, and goes with neither --transfer nor --replicates")
    limit = Budget() if budget is None else Budget.read(budget)
    protocol = str(Path(protocol).resolve()) if protocol.endswith(".toml") else protocol  # of other machines too
    work = Work(protocol, store.resolve(), data and data.resolve(), device, overlap)
    names = tuple(read_tasks(tasks))
    if cards is not None:
        source = _planned(work, cards, names, range(seed, seed + replicates), overlap if transfer else None, limit)
    else:
        source = _proposed(work, str(optimizer), space, embedding, tasks, seed, limit)
    work.prepare(names)
    with (
        _engine(engine, work, workers, device, address, cpus, gpus) as where,
        _live(source, where, work) as tell,
    ):
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
    if not all(map(_finished, outcomes)):
        raise typer.Exit(1)


def _planned(
    work: Work, path: Path, tasks: Sequence[str], seeds: Sequence[int], overlap: float | None, limit: Budget
) -> Source:
    from flexnas_bench.filling.known import Known, read_card_list
    from flexnas_bench.filling.plan import plan
    from flexnas_bench.filling.source import Planned

    bench = load_benchmark(store=_if_there(work.store))
    known = Known(bench, work.backend.protocol.name)
    cards = read_card_list(path, bench)
    jobs = plan(cards, tasks, seeds, known.tasks, overlap)
    return Planned(jobs[: len(jobs) if math.isinf(limit.evaluations) else int(limit.evaluations)])


def _proposed(work: Work, name: str, space: str, embedding: str, task: str, seed: int, limit: Budget) -> Source:
    from flexnas_bench.filling.known import Known, begun
    from flexnas_bench.filling.source import Proposed

    if task not in METRICS:
        raise OptionError(f"--tasks: an optimizer is told one score, such as glue8 or rte, and not {task}")
    bench, tasks = load_benchmark(store=_if_there(work.store)), MEANS.get(task, (task,))
    known = Known(bench, work.backend.protocol.name)
    proposer = make_optimizer(name, space=load_space(space), seed=seed, embedding=embedding)
    for digest in known.cards(seed):
        card = bench.card(digest)
        scores = known.tasks(card, seed, True)
        if card in proposer.space and scores.keys() >= set(tasks):
            proposer.tell([card], [sum(scores[one] for one in tasks) / len(tasks)])
    left = [job for job in begun(work.trainings, tasks, seed, known) if job.card in proposer.space]
    return Proposed(proposer, task, limit.evaluations, lambda card: known.tasks(card, seed, True), left, seed)


def _if_there(store: Path) -> Path | None:
    from flexnas_bench.store import Store

    return store if Store(store).exists() else None


def _engine(name: str, work: Work, workers: int, device: str, address: str, cpus: float, gpus: float) -> Engine:
    if name == "ray":
        from flexnas_bench.filling.cluster import RayEngine

        return RayEngine(work, address, cpus, gpus)
    from flexnas_bench.filling.local import LocalEngine, devices_of

    return LocalEngine(work, workers, devices_of(device))


@contextmanager
def _live(source: Source, engine: Engine, work: Work) -> Iterator[Callable[[Filling], None] | None]:
    """A table on the terminal that is drawn anew every second, nothing where there is none."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda state: live.update(_picture(state, source, engine, work), refresh=True)


def _picture(state: Filling, source: Source, engine: Engine, work: Work) -> Group:
    from flexnas_bench.filling.progress import stage

    now = time.monotonic()
    table = Table("at work", "parameters", "seed", "from", "for", "")
    for job in engine.running:
        since = now - state.started[job.name]
        done = stage(work.folder(job.name), job)
        table.add_row(*_card_cells(job), f"{since:,.0f} s", done)
    return Group(Text(_headline(state, source, engine, now)), table)


def _headline(state: Filling, source: Source, engine: Engine, now: float) -> str:
    from flexnas_bench.filling.progress import seconds_left

    done, left = len(state.outcomes), len(source.left)
    rate = done / (now - state.begun) * 3600
    text = f"{engine.where}: {done} cards done, {len(engine.running)} at work, {left} to come"
    seconds = seconds_left(state.outcomes, [*engine.running, *source.left], max(len(engine.running), 1))
    if not math.isnan(seconds):
        text += f"; {rate:.1f} cards an hour, about {seconds / 60:,.0f} min left"
    return text


def _card_cells(job: Job) -> tuple[str, str, str, str]:
    donor = SCRATCH if job.donor is None else job.donor.hash[:12]
    return job.card.hash[:12], f"{job.card.parameters:,}", str(job.replicate), donor


def _show(outcomes: Sequence[Outcome], left: int, tasks: Sequence[str], work: Work) -> None:
    """What came of it."""
    title = f"measured, protocol {work.backend.protocol.name}"
    table = Table("card", "parameters", "seed", "from", "seconds", *tasks, "", title=title)
    for one in outcomes:
        scores = [_cell(one.scores.get(task)) for task in tasks]
        ending = "" if _finished(one) else f"{one.ending}: "
        table.add_row(*_card_cells(one.job), f"{one.seconds:,.0f}", *scores, ending + one.why)
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
