"""The tables of results: their schemas and what their words mean (one row a training, one row a score)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from numbers import Real
from typing import Any

import pyarrow as pa

from flexnas_bench.card import ModelCard, is_hash
from flexnas_bench.errors import OptionError
from flexnas_bench.storage import table_schema

#: The metric of each GLUE task; scores are points x100, higher is better.
GLUE_METRICS = {
    "cola": "matthews",
    "mnli": "accuracy",
    "mrpc": "accuracy",
    "qnli": "accuracy",
    "qqp": "accuracy",
    "rte": "accuracy",
    "sst2": "accuracy",
    "stsb": "spearman",
}
#: Name of the mean of the eight tasks above (GLUE without WNLI).
GLUE8 = "glue8"
SCRATCH = "scratch"
DEFAULT_PROTOCOL = "electra-owt-100k"
#: Origins of a trained model's score, in the order in which they are asked: one's own come first.
ORIGINS = ("measured", "published")

#: The paper's Figure 7, GPU-hours: fine-tuning alone, and pre-training with fine-tuning. Their ratio stands in
#: where a training's fine-tuning time is not known.
FINETUNE_HOURS, TRAINING_HOURS = 0.9875, 39.4646


ARCHITECTURES = table_schema(hash="text", card="text", g1_index="int?", layers="int", parameters="int", flops="int")
_TRAINING = {
    "run_id": "text",
    "hash": "text",
    "protocol": "text",
    "init": "text",
    "replicate": "int",
    "seed": "int?",
    "pretrain_steps": "int?",
    "pretrain_seconds": "real?",
    "finetune_seconds": "real?",
    "hardware": "text",
    "origin": "text",
    "source": "text",
}
_SCORE = {"task": "text", "metric": "text", "value": "real"}
RUNS_TRAINED = table_schema(**_TRAINING)
RESULTS = table_schema(run_id="text", hash="text", protocol="text", init="text", replicate="int", **_SCORE)
#: Both in one row, with the card: how a store keeps them, so that an append is one file.
SCORES = table_schema(card="text", **_TRAINING, **_SCORE)
POOL = table_schema(hash="text", card="text")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of one card, with its scores: what rows of the tables are made of. Validated when made.

    Attributes:
        card: what was trained.
        protocol: name of the training recipe.
        scores: value by task in points x100, NaN where the training diverged.
        init: `"scratch"`, or the hash of the card whose weights were transferred.
        replicate: number of this training among those of the same card, protocol and init, from 0.
        seed: of the training, if it is known.
        pretrain_steps: optimizer steps, if they are known; `pretrain_seconds` and `finetune_seconds` likewise.
        hardware: what it ran on.
        origin: `"measured"`, or `"published"` for trainings of others.
        source: who says so, a key of `sources.toml` where that describes it.
        metrics: metric by task, where it is not that of GLUE.
        run_id: a name of the training; by default a digest of what tells it from others.

    Raises:
        OptionError: a field that makes no sense, by its name.
    """

    card: ModelCard
    protocol: str
    scores: Mapping[str, float]
    init: str = SCRATCH
    replicate: int = 0
    seed: int | None = None
    pretrain_steps: int | None = None
    pretrain_seconds: float | None = None
    finetune_seconds: float | None = None
    hardware: str = "not stated"
    origin: str = ORIGINS[0]
    source: str = "own"
    metrics: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.card, ModelCard):
            raise OptionError(f"card: {self.card!r:.80} is no ModelCard")
        for name in ("protocol", "hardware", "source"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name).strip():
                raise OptionError(f"{name}: {getattr(self, name)!r:.80} is no name")
        if self.init != SCRATCH and not is_hash(self.init):
            raise OptionError(f"init: {self.init!r:.80} is neither scratch nor the hash of a card")
        if self.origin not in ORIGINS:
            raise OptionError(f"origin: {self.origin!r:.80} is not one of {', '.join(ORIGINS)}")
        for name in ("replicate", "seed", "pretrain_steps"):
            number = getattr(self, name)
            if not ((number is None and name != "replicate") or (type(number) is int and 0 <= number < 2**63)):
                raise OptionError(f"{name}: {number!r:.80} is not a whole number, 0 or more")
        for name in ("pretrain_seconds", "finetune_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not (_is_number(seconds) and 0 <= seconds < math.inf):
                raise OptionError(f"{name}: {seconds!r:.80} is no time")
        if not self.scores:
            raise OptionError("scores: a training needs at least one")
        for task, value in self.scores.items():
            if not isinstance(task, str) or not task or not _is_number(value) or math.isinf(value):
                raise OptionError(f"scores: {task!r:.80} = {value!r:.80} is no score of a task")
        if not self.run_id:
            facts = (self.card.hash, self.protocol, self.init, str(self.replicate), self.origin, self.source)
            object.__setattr__(self, "run_id", sha256("|".join(facts).encode()).hexdigest()[:16])

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a score, with the columns of `SCORES`."""
        training = {name: getattr(self, name) for name in _TRAINING if name != "hash"}
        return [
            {"card": self.card.to_json(), "hash": self.card.hash, **training}
            | {
                "task": task,
                "metric": self.metrics.get(task) or GLUE_METRICS.get(task, "as given"),
                "value": float(value),
            }
            for task, value in self.scores.items()
        ]


def tables_of(trainings: Iterable[Training]) -> tuple[pa.Table, pa.Table]:
    """The two tables `RUNS_TRAINED`, a row a training, and `RESULTS`, a row a score."""
    rows = [training.rows() for training in trainings]
    runs = [{name: scores[0][name] for name in RUNS_TRAINED.names} for scores in rows]
    results = [{name: score[name] for name in RESULTS.names} for scores in rows for score in scores]
    return pa.Table.from_pylist(runs, schema=RUNS_TRAINED), pa.Table.from_pylist(results, schema=RESULTS)


def training_cost_seconds(pretrain_seconds: float | None, finetune_seconds: float | None, init: str = SCRATCH) -> float:
    """Seconds that one evaluation cost: pre-training plus fine-tuning, or fine-tuning alone after a transfer.

    A fine-tuning time that was not published is assumed to be in the proportion of the paper's Figure 7 to the
    pre-training time, also where a transfer saved that. NaN where nothing is known.

    Args:
        pretrain_seconds: of the training, or, after a transfer, those that it saved.
        finetune_seconds: of all tasks together.
        init: `"scratch"`, or a donor's hash.
    """
    if finetune_seconds is None and pretrain_seconds is not None:
        finetune_seconds = pretrain_seconds * FINETUNE_HOURS / (TRAINING_HOURS - FINETUNE_HOURS)
    spent = [finetune_seconds] if init != SCRATCH else [pretrain_seconds, finetune_seconds]
    return math.nan if None in spent else math.fsum(seconds for seconds in spent if seconds is not None)


def expand_protocols(described: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Protocols by name. One that lists `checkpoints` is a learning curve: a protocol for every step count.

    Curve `c` at 150,000 steps is the protocol `c-step-150k`, with `pretraining_steps` and `curve = "c"`.
    """
    protocols: dict[str, dict[str, Any]] = {}
    for name, facts in described.items():
        shared = {key: value for key, value in facts.items() if key != "checkpoints"}
        if "checkpoints" not in facts:
            protocols[name] = shared
        for steps in facts.get("checkpoints", ()):
            protocols[checkpoint_protocol(name, steps)] = shared | {"pretraining_steps": steps, "curve": name}
    return protocols


def checkpoint_protocol(curve: str, steps: int) -> str:
    """Name of the protocol of a learning curve at a step count."""
    return f"{curve}-step-{steps // 1000}k"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
