"""Trainings as values: what rows of the tables of results are made of."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from numbers import Real
from statistics import fmean
from typing import Any

import pyarrow as pa

from flexnas_bench.card import ModelCard, is_hash
from flexnas_bench.errors import OptionError, shown
from flexnas_bench.results import MEANS, METRICS, ORIGINS, RESULTS, RUNS_TRAINED, SCRATCH, TRAINING_COLUMNS


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training of one card, with its scores: what rows of the tables are made of. Validated when made.

    Attributes:
        card: what was trained.
        protocol: name of the training recipe.
        scores: value by task in points x100, NaN where the training diverged. `glue8` and `glue9` follow from their
            tasks where these are all there.
        init: `"scratch"`, or the hash of the card whose weights were transferred.
        replicate: number of this training among those of the same card, protocol and init, from 0.
        seed: of the training, if it is known.
        pretrain_steps: optimizer steps, if they are known; `pretrain_seconds` and `finetune_seconds` likewise.
        hardware: what it ran on.
        origin: `"measured"`, or `"published"` for trainings of others.
        source: who says so, a key of `sources.toml` where that describes it.
        metrics: metric by task, where it is not that of GLUE.
        run_id: a name of the training; by default a digest of what tells it from others.
        protocol_hash: digest of all settings of the protocol, if it is one that can be run.
        packages: versions of what it was trained with.
        note: what there is to say, such as why it diverged.

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
    protocol_hash: str | None = None
    packages: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.card, ModelCard):
            raise OptionError(f"card: {shown(self.card)} is no ModelCard")
        if self.init != SCRATCH and not is_hash(self.init):
            raise OptionError(f"init: {shown(self.init)} is neither scratch nor the hash of a card")
        if self.origin not in ORIGINS:
            raise OptionError(f"origin: {shown(self.origin)} is not one of {', '.join(ORIGINS)}")
        for name in ("protocol", "hardware", "source"):
            _check_name(name, getattr(self, name))
        for name in ("protocol_hash", "packages", "note"):
            if (text := getattr(self, name)) is not None:
                _check_name(name, text)
        if "," in self.source:
            raise OptionError(f"source: {shown(self.source)} has a comma, which parts several sources of an answer")
        self._set("replicate", _whole("replicate", self.replicate))
        for name, read in _OPTIONAL.items():
            if (number := getattr(self, name)) is not None:
                self._set(name, read(name, number))
        self._set("scores", _scores(self.scores, self.metrics))
        if self.run_id == "":
            facts = (self.card.hash, self.protocol, self.init, str(self.replicate), self.origin, self.source)
            self._set("run_id", sha256("|".join(facts).encode()).hexdigest()[:16])
        _check_name("run_id", self.run_id)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # frozen for everybody else

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a score, with the columns of `SCORES`."""
        training = {name: getattr(self, name) for name in TRAINING_COLUMNS if name != "hash"}
        training |= {"card": self.card.to_json(), "hash": self.card.hash}
        metrics = METRICS | dict(self.metrics)
        return [
            training | {"task": task, "metric": metrics.get(task, "as given"), "value": value}
            for task, value in self.scores.items()
        ]


def mean_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of `glue8` and `glue9` for trainings that have all of their tasks but not the mean itself."""
    trainings: dict[tuple[Any, ...], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("hash", "protocol", "init", "replicate", "origin", "source"))
        trainings.setdefault(key, {})[row["task"]] = row
    return [
        _mean(mean, [scores[task] for task in tasks])
        for scores in trainings.values()
        for mean, tasks in MEANS.items()
        if mean not in scores and scores.keys() >= set(tasks)
    ]


def _mean(name: str, scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of a mean; where each task was fine-tuned in a run of its own, with their seconds together."""
    seconds = list({score["run_id"]: score["finetune_seconds"] for score in scores}.values())
    spent = None if None in seconds else math.fsum(seconds)
    value = fmean(score["value"] for score in scores)
    return dict(scores[0]) | {"task": name, "metric": "mean", "value": value, "finetune_seconds": spent}


def tables_of(trainings: Iterable[Training]) -> tuple[pa.Table, pa.Table]:
    """The two tables `RUNS_TRAINED`, a row a training, and `RESULTS`, a row a score."""
    rows = [training.rows() for training in trainings]
    runs = [{name: scores[0][name] for name in RUNS_TRAINED.names} for scores in rows]
    results = [{name: score[name] for name in RESULTS.names} for scores in rows for score in scores]
    return pa.Table.from_pylist(runs, schema=RUNS_TRAINED), pa.Table.from_pylist(results, schema=RESULTS)


def training_of(training: Mapping[str, Any], scores: Sequence[Mapping[str, Any]] = ()) -> Training:
    """The training of a row of `RUNS_TRAINED` with a column `card`, or of one of `SCORES`.

    Args:
        training: the row.
        scores: rows of `RESULTS` of it; those in the row itself if not given.

    Raises:
        OptionError: a field makes no sense.
        InvalidCardError: the card is none.
    """
    scores = scores or [training]
    names = {field.name for field in fields(Training)} & training.keys()
    return Training(
        **{name: training[name] for name in names}
        | {
            "card": ModelCard.from_json(training["card"]),
            "scores": {score["task"]: score["value"] for score in scores},
            "metrics": {score["task"]: score["metric"] for score in scores},
        }
    )


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise OptionError(f"{what}: {shown(name)} is no name")


def _whole(what: str, number: object) -> int:
    try:
        whole = -1 if isinstance(number, bool) else operator.index(number)  # type: ignore[arg-type]  # or TypeError
    except TypeError:
        whole = -1
    if not 0 <= whole < 2**63:
        raise OptionError(f"{what}: {shown(number)} is not a whole number, 0 or more")
    return whole


def _real(number: object) -> float | None:
    """A number as `float`, `None` for anything else and for what no `float` can hold."""
    try:
        return None if isinstance(number, bool) or not isinstance(number, Real) else float(number)
    except OverflowError:
        return None


def _seconds(what: str, number: object) -> float:
    seconds = _real(number)
    if seconds is None or not 0 <= seconds < math.inf:
        raise OptionError(f"{what}: {shown(number)} is no time")
    return seconds


_OPTIONAL: dict[str, Callable[[str, object], float]] = {
    "seed": _whole,
    "pretrain_steps": _whole,
    "pretrain_seconds": _seconds,
    "finetune_seconds": _seconds,
}


def _scores(scores: object, metrics: object) -> dict[str, float]:
    """Scores as they are kept; raises `OptionError` for what makes no sense, also together."""
    if not isinstance(scores, Mapping) or not scores:
        raise OptionError(f"scores: {shown(scores)} is no dictionary of scores by task")
    if not isinstance(metrics, Mapping):
        raise OptionError(f"metrics: {shown(metrics)} is no dictionary by task")
    for metric in metrics.values():
        _check_name("metrics", metric)
    checked = {task: _score(task, value, metrics) for task, value in scores.items()}
    for mean, tasks in MEANS.items():
        if mean in checked and checked.keys() >= set(tasks):
            expected = fmean(checked[task] for task in tasks)
            if not (abs(checked[mean] - expected) <= 1e-2 or math.isnan(expected)):
                raise OptionError(f"scores: {mean} is {checked[mean]}, the mean of its tasks {expected:.2f}")
    return checked


def _score(task: object, number: object, metrics: Mapping[str, str]) -> float:
    value = _real(number)
    if not isinstance(task, str) or not task or not task.isprintable() or value is None or math.isinf(value):
        raise OptionError(f"scores: {shown(task)} = {shown(number)} is no score of a task")
    if task in METRICS and abs(value) > 100:
        raise OptionError(f"scores: {task} = {value} is not in points, -100 to 100")
    plain = "".join(filter(str.isalnum, task.lower()))
    if plain in METRICS and plain != task and task not in metrics:
        raise OptionError(f"scores: {task} is called {plain} here; if it is another task, give its metric in `metrics`")
    return value
