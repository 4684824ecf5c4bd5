"""A search that trains for real: a score that is not there yet is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean

from flexnas_bench.answers import Result
from flexnas_bench.card import ModelCard
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.errors import NotMeasuredError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.modeling.folder import quiet_libraries
from flexnas_bench.records import Training
from flexnas_bench.results import METRICS, ORIGINS, SCRATCH, tasks_of, training_cost_seconds
from flexnas_bench.searching.objective import Objective
from flexnas_bench.space import DesignSpace
from flexnas_bench.store import Store
from flexnas_bench.training.backend import Backend
from flexnas_bench.training.protocol import load_protocol
from flexnas_bench.training.provenance import pick_device

LIVE = "live"
#: Seed, and number of the replicate, of all its trainings.
FIRST = 0


@dataclass(frozen=True)
class LiveTraining:
    """How a search trains.

    Attributes:
        protocol: name of a recipe that can be run, or a TOML file with one.
        folder: of trainings, one a card.
        store: folder that scores go to, and are looked up in first.
        data: folder of data, see `training.materials.Materials`.
        device: to train on.
        transfer: whether to start from the weights of the nearest card in `folder`, if one has enough in common.
        overlap: fraction of its layers that a card must share for that.
        progress: told what is done, how much of it, and of how much.
    """

    protocol: str
    folder: Path
    store: Path
    data: Path | None = None
    device: str = "auto"
    transfer: bool = False
    overlap: float = THRESHOLD
    progress: Callable[[str, int, float], None] | None = field(default=None, compare=False)

    @cached_property
    def backend(self) -> Backend:
        """Who trains."""
        quiet_libraries()
        protocol = load_protocol(self.protocol)
        return Backend(protocol, self.data, Store(self.store), pick_device(self.device), self.overlap)

    @cached_property
    def checked_store(self) -> Path:
        """The store, which says what the protocol is and has no scores of other settings under its name."""
        protocol = self.backend.protocol
        Store(self.store).describe(protocol.name, protocol.facts, protocol.hash)
        return self.store

    def objective(self, task: str) -> LiveObjective:
        """Scores of a task, or of a mean of tasks, trained when they are asked for; raises `OptionError`."""
        if task not in METRICS:
            raise OptionError(f"task: GLUE has no {task}")
        return LiveObjective(load_benchmark(), task, self.backend.protocol.name, LIVE, live=self)


@dataclass(frozen=True, kw_only=True)
class LiveObjective(Objective):
    """Measured scores; what the store has is not trained again.

    Attributes:
        live: how to train.
    """

    live: LiveTraining

    def query(self, card: ModelCard, seed: int) -> Result:  # noqa: ARG002 - of all seeds
        """The measured score of a card's first training, whatever the seed of the search; trains it if need be."""
        if not self.live.transfer:
            try:
                return load_benchmark(store=self.live.checked_store).query(
                    card, self.task, self.protocol, replicate=FIRST
                )
            except NotMeasuredError:
                pass
        donors = [self.live.folder] if self.live.transfer and self.live.folder.exists() else []
        rows = self.live.backend.train(
            card,
            tasks_of(self.task),
            self.live.folder / card.hash[:16],
            FIRST,
            donors=donors,
            progress=self.live.progress,
        )
        return self._result(rows)

    def _result(self, rows: Sequence[Training]) -> Result:
        seconds = [row.finetune_seconds for row in rows if row.finetune_seconds is not None]
        return Result(
            value=fmean(value for row in rows for value in row.scores.values()),
            std=math.nan,
            n=1,
            task=self.task,
            metric=METRICS[self.task],
            protocol=self.protocol,
            init=rows[0].init,
            origin=ORIGINS[0],
            cost_seconds=training_cost_seconds(rows[0].pretrain_seconds, math.fsum(seconds), rows[0].init),
            cost_assumed=False,
            source=rows[0].source,
            card_hash=rows[0].card.hash,
        )

    def cite(self, result: Result) -> str:  # noqa: ARG002 - of all answers
        """Says who trained."""
        return "trained in this search"

    def cost(self, result: Result, near: bool) -> tuple[float, bool]:  # noqa: ARG002 - what was trained near is known
        """What an evaluation cost, and whether weights were transferred."""
        return result.cost_seconds, result.init != SCRATCH

    def expected(self, cards: Sequence[ModelCard]) -> list[float]:
        """NaN: nobody predicts what other trainings would score."""
        return [math.nan] * len(cards)

    def optimum(self, space: DesignSpace) -> float:  # noqa: ARG002 - of no space
        """NaN: it is not known."""
        return math.nan

    def knows_costs(self, space: DesignSpace) -> bool:  # noqa: ARG002 - of all spaces
        """Trainings are timed."""
        return True

    def digest(self, space: DesignSpace) -> str:  # noqa: ARG002 - of all spaces
        """Of the protocol, and of what scores are read from."""
        return self.live.backend.protocol.hash[:16]
