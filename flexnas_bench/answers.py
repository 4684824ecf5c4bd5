"""What an answer is, and how the scores of one card become one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.results import ORIGINS


@dataclass(frozen=True, slots=True)
class Result:
    """An answer: a score with its origin.

    Attributes:
        value: score in points x100 (higher is better), the mean where several trainings count.
        std: sample standard deviation over those trainings, NaN for a single one; of a prediction, the standard
            deviation of what one training would score.
        n: number of trainings behind the value, 0 for a prediction.
        task: task asked, and `metric` what was measured on it.
        protocol: training recipe.
        init: `"scratch"`, or the hash of the card whose weights were transferred.
        origin: `"published"`, `"measured"` or `"predicted"`.
        cost_seconds: mean seconds of one training, pre-training plus fine-tuning (see
            `results.training_cost_seconds`); NaN where nothing is known.
        cost_assumed: whether a fine-tuning time in it is assumed, by the paper's Figure 7, or all of it predicted.
        source: key into `Benchmark.sources`; several, parted by commas, where the trainings have several; of a
            prediction, those of the scores that it follows from.
        card_hash: hash of the card asked.
        in_support: of a prediction, whether trained cards have all that the card has (`surrogate.support`).
    """

    value: float
    std: float
    n: int
    task: str
    metric: str
    protocol: str
    init: str
    origin: str
    cost_seconds: float
    cost_assumed: bool
    source: str
    card_hash: str
    in_support: bool = True


class Score(NamedTuple):
    """One score of one training, with what the two tables say of it."""

    replicate: int
    value: float
    metric: str
    cost_seconds: float
    cost_assumed: bool
    source: str


class Setting(NamedTuple):
    """What the scores of one card are told apart by."""

    task: str
    protocol: str
    init: str
    origin: str


Replicates = dict[int, Score]


def preferred(
    settings: Mapping[Setting, Replicates], task: str, protocol: str, init: str
) -> tuple[Setting, Replicates]:
    """The scores of a card that count for a question: those of the first origin that has any."""
    for origin in ORIGINS:
        setting = Setting(task, protocol, init, origin)
        if setting in settings:
            return setting, settings[setting]
    return setting, {}


def one_replicate(scores: Replicates, replicate: int, digest: str) -> Replicates:
    """A single training of a card; raises `NotMeasuredError` if there is no such one."""
    if replicate not in scores:
        raise NotMeasuredError(
            f"card {digest[:12]}... has {len(scores)} trainings, counted from 0; replicate {replicate} is none of them"
        )
    return {replicate: scores[replicate]}


def summarise(scores: Replicates, setting: Setting, digest: str) -> Result:
    """The answer that these trainings of a card give together."""
    values = [score.value for score in scores.values()]
    sources = dict.fromkeys(score.source for score in scores.values())
    return Result(
        value=fmean(values),
        std=stdev(values) if len(values) > 1 and not any(map(math.isnan, values)) else math.nan,
        n=len(values),
        task=setting.task,
        metric=next(iter(scores.values())).metric,
        protocol=setting.protocol,
        init=setting.init,
        origin=setting.origin,
        cost_seconds=fmean(score.cost_seconds for score in scores.values()),
        cost_assumed=any(score.cost_assumed for score in scores.values()),
        source=", ".join(sources),
        card_hash=digest,
    )
