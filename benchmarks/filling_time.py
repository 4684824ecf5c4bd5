"""How long filling takes: a thousand cards on simulated workers, and what the engine itself costs here.

The simulated cluster is the loop of `fill`, with an engine whose trainings take no time of ours: each lasts as long as
measured trainings say (least squares over FLOPs), on a clock of its own. The overhead is real: small trainings on one
process of this machine, and the time that passes while none of them is at work.
"""

from __future__ import annotations

import argparse
import heapq
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from flexnas_bench import ModelCard, load_benchmark, load_space
from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.filling.known import Known, Trainings
from flexnas_bench.filling.local import LocalEngine
from flexnas_bench.filling.plan import Planner
from flexnas_bench.filling.planned import Planned
from flexnas_bench.filling.worker import Work
from flexnas_bench.results import SCRATCH
from flexnas_bench.shipped import read_trainings
from flexnas_bench.storage import data_folder

CARDS, WORKERS, TASKS = 1000, (1, 8, 64), ("cola", "mrpc", "rte", "sst2", "stsb", "wnli")
SMALL = """
[overhead]
base = "cpu-lite"
summary = "small enough to see what the engine costs"
[overhead.pretraining]
steps = 20
[overhead.finetuning]
rows = 200
"""


def main() -> None:
    """Prints two tables of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--protocol", default="cpu-lite", help="whose measured seconds to take")
    parser.add_argument("--real", type=int, default=12, help="trainings whose overhead is timed")
    parser.add_argument("--without", nargs="*", default=[], help="named cards whose seconds not to take")
    options = parser.parse_args()
    _simulated(options.protocol, [ModelCard.named(name) for name in options.without])
    _overhead(options.data, options.real)


class Simulated(Engine):
    """Workers on a clock of their own, which jumps to the next end.

    Args:
        workers: how many.
        seconds: that a job takes.
        trained: cards that have weights, which those trained from scratch are added to.
    """

    where = "a simulated cluster"

    def __init__(self, workers: int, seconds: Callable[[Job], float], trained: dict[ModelCard, None]) -> None:
        super().__init__()
        self._workers, self._seconds, self._trained = workers, seconds, trained
        self._ends: list[tuple[float, str]] = []
        self.now, self.work = 0.0, 0.0

    @property
    def free(self) -> bool:
        """Whether a worker has nothing to do."""
        return len(self._ends) < self._workers

    def start(self, job: Job) -> None:
        """Gives a job to a worker."""
        seconds = self._seconds(job)
        self.work += seconds
        heapq.heappush(self._ends, (self.now + seconds, job.name))
        self._jobs[job.name] = job

    def wait(self, seconds: float) -> list[Outcome]:  # noqa: ARG002 - nobody waits
        """The job that ends next."""
        self.now, name = heapq.heappop(self._ends)
        job = self._jobs.pop(name)
        if job.donor is None:
            self._trained[job.card] = None
        init = SCRATCH if job.donor is None else job.donor.hash
        return [Outcome(job, Ending.FINISHED, scores=dict.fromkeys(job.tasks, 50.0), init=init)]

    def close(self) -> None:
        """Nothing runs."""


class Imagined(Trainings):
    """Trainings that are on no disk."""

    def __init__(self) -> None:
        self.trained: dict[ModelCard, None] = {}

    def donors(self, replicate: int) -> list[ModelCard]:  # noqa: ARG002 - there is one
        """Cards that were trained from scratch."""
        return list(self.trained)

    def has_weights(self, card: ModelCard, replicate: int) -> bool:  # noqa: ARG002 - likewise
        """Whether a card is one of them."""
        return card in self.trained

    def begun(self, replicate: int) -> dict[ModelCard, ModelCard]:  # noqa: ARG002 - of no replicate
        """None."""
        return {}


def _simulated(protocol: str, without: Sequence[ModelCard]) -> None:
    """A line for each number of workers, with and without transfers."""
    seconds, trainings = _durations(protocol, without)
    space = load_space("g1")
    cards = [space[int(i)] for i in np.random.default_rng(0).choice(space.size, CARDS, replace=False)]
    print(f"{CARDS:,} cards of G1 (random), {len(TASKS)} tasks, by {trainings} measured trainings of {protocol}:\n")
    print(
        "| order | workers | hours | workers kept busy | cards an hour | pre-trained |\n|---|---:|---:|---:|---:|---:|"
    )
    for what, overlap in (("from scratch", None), ("transfers, overlap 0.8", 0.8), ("transfers, overlap 0.5", 0.5)):
        for workers in WORKERS:
            there = Imagined()
            engine = Simulated(workers, seconds, there.trained)
            source = Planned(Planner(TASKS, Known(load_benchmark(), "none"), there, overlap), cards, [0])
            with TemporaryDirectory() as folder:
                outcomes = Filler(source, engine, Path(folder).joinpath).run()
            scratch = sum(one.job.donor is None for one in outcomes)
            busy = engine.work / workers / engine.now
            hours = engine.now / 3600
            print(f"| {what} | {workers} | {hours:,.1f} | {100 * busy:.1f} % | {CARDS / hours:,.1f} | {scratch} |")


def _durations(protocol: str, without: Sequence[ModelCard]) -> tuple[Callable[[Job], float], int]:
    """Seconds of a job as measured ones say, and of how many trainings these are."""
    found: dict[tuple[str, int], list[float]] = {}
    cards = {}
    for one in read_trainings(data_folder()):
        if one.protocol == protocol and one.init == SCRATCH and one.finetune_seconds is not None:
            if not one.scores.keys() <= set(TASKS) or one.card in without:
                continue
            cards[one.card.hash] = one.card
            found.setdefault((one.card.hash, one.replicate), [one.pretrain_seconds or 0.0]).append(one.finetune_seconds)
    whole = {key: times for key, times in found.items() if len(times) == len(TASKS) + 1}
    if len(whole) < 3:
        raise SystemExit(f"too few trainings were measured under {protocol}")
    flops = [float(cards[card].flops()) for card, _ in whole]
    features = np.column_stack([np.ones(len(flops)), flops])
    pretraining, _, _, _ = np.linalg.lstsq(features, [times[0] for times in whole.values()])
    finetuning, _, _, _ = np.linalg.lstsq(features, [sum(times[1:]) for times in whole.values()])

    def seconds(job: Job) -> float:
        own = np.array([1.0, float(job.card.flops())])
        return float(own @ finetuning) + (float(own @ pretraining) if job.donor is None else 0.0)

    return seconds, len(whole)


def _overhead(data: Path, count: int) -> None:
    """What passes between trainings, beside what they take."""
    space = load_space("g1")
    cards: Sequence[ModelCard] = sorted((space[i] for i in range(space.size)), key=lambda card: card.flops())[:count]
    with TemporaryDirectory() as folder:
        protocol = Path(folder) / "overhead.toml"
        protocol.write_text(SMALL)
        work = Work(str(protocol), Path(folder) / "store", data, "cpu")
        work.prepare(["wnli"])
        source = Planned(Planner(["wnli"], Known(load_benchmark(), work.recipe.name), work.folders, None), cards, [0])
        first: list[float] = []

        def note(filler: Filler) -> None:
            if filler.outcomes and not first:
                first.append(time.monotonic())

        with LocalEngine(work) as engine:
            filler = Filler(source, engine, work.folder, tell=note)
            begun = time.monotonic()
            outcomes = filler.run()
            wall = time.monotonic() - begun
    start = first[0] - begun - outcomes[0].seconds
    spent = sum(one.seconds for one in outcomes[1:])
    idle = begun + wall - first[0] - spent
    print(
        f"\n{len(outcomes)} small trainings on one process: {start:.1f} s until it is there; then {spent:.1f} s of work"
    )
    print(f"and {idle:.2f} s beside it: {idle / (len(outcomes) - 1):.3f} s a training, {100 * idle / spent:.2f} %")


if __name__ == "__main__":
    main()
