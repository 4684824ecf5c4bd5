"""The folder of a training: whose it is, and what is finished."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import RunMismatchError, TableCorruptError, shown
from flexnas_bench.journal import Journal
from flexnas_bench.results import SCRATCH
from flexnas_bench.storage import claim
from flexnas_bench.training.donors import FACTS
from flexnas_bench.training.finetuning import Finetuned
from flexnas_bench.training.glue import TASKS
from flexnas_bench.training.protocol import Protocol
from flexnas_bench.training.tuning import Trial

#: Settings, journal, pre-trained model, fine-tuned models.
SETTINGS, JOURNAL, MODEL, CLASSIFIERS = "training.json", "tasks.jsonl", "model", "classifiers"
_TASK = {*Finetuned.__dataclass_fields__, "hardware", "packages"}
_TRIAL = Trial.__required_keys__


class TaskJournal(Journal):
    """Finished tasks of a training, and finished trials of the tuning of one."""

    kind = "a task or a trial"

    @classmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:  # noqa: ARG003 - of all journals
        """Whether this is a task's result, with what it ran on, or a trial of its tuning."""
        if record.get("task") not in TASKS:
            return False
        found = record.get("trial", record)
        return isinstance(found, dict) and found.keys() >= (_TRIAL if "trial" in record else _TASK)

    def add(self, found: Finetuned, hardware: str, packages: str) -> dict[str, Any]:
        """Writes a result, NaN as null, and returns it as written."""
        record = {**asdict(found), "hardware": hardware, "packages": packages}
        record |= {name: _plain(record[name]) for name in ("score", "scores", "losses")}
        self.append(record)
        return record

    def finished(self, task: str) -> dict[str, Any] | None:
        """The result of a task, as written; None if there is none yet."""
        return next((one for one in self.records if one["task"] == task and "trial" not in one), None)

    def trials(self, task: str) -> list[Trial]:
        """Finished trials of a task."""
        return [one["trial"] for one in self.records if one["task"] == task and "trial" in one]


def claim_folder(out: Path, card: ModelCard, protocol: Protocol, seed: int) -> None:
    """Makes the folder of a training, or checks that it is that of this one; raises `RunMismatchError`."""
    mine = {
        "card": card.to_dict(),
        "hash": card.hash,
        "protocol": protocol.name,
        "protocol_hash": protocol.hash,
        "seed": seed,
    }
    try:
        there = json.loads(claim(out, SETTINGS, json.dumps(mine, indent=2).encode(), "training"))
    except ValueError:
        there = None
    if not isinstance(there, dict):
        raise TableCorruptError(f"{out / SETTINGS} is not readable as settings of a training")
    for name, value in mine.items():
        if there.get(name) != value:
            raise RunMismatchError(
                f"{out} holds another training: its {name} is {shown(there.get(name))}, not {shown(value)}; "
                "name another folder"
            )


@dataclass(frozen=True)
class Curves:
    """What there is to draw of a training.

    Attributes:
        pretraining: steps, and mean losses in nats since the one before.
        transferred: whether a neighbour's weights took the place of pre-training.
        tasks: records of finished tasks by name.
    """

    pretraining: list[tuple[int, float]]
    transferred: bool
    tasks: dict[str, dict[str, Any]]


def read_curves(out: Path) -> Curves:
    """Curves of a training that has its weights."""
    facts = json.loads((out / MODEL / FACTS).read_bytes())
    tasks = {one["task"]: one for one in TaskJournal.read(out / JOURNAL) if "trial" not in one}
    return Curves([(step, loss) for step, loss in facts["curve"]], facts["init"] != SCRATCH, tasks)


def _plain(value: Any) -> Any:
    """Numbers as JSON can have them."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if math.isfinite(value) else None
