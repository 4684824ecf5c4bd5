"""The benchmark: asks a card, answers with a score and where it came from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any, NamedTuple

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidCardError, NotMeasuredError, OptionError
from flexnas_bench.results import (
    ARCHITECTURES,
    DEFAULT_PROTOCOL,
    GLUE8,
    RESULTS,
    RUNS_TRAINED,
    SCRATCH,
    training_cost_seconds,
)
from flexnas_bench.storage import read_shipped, read_shipped_toml

#: Kinds of answer this version can give.
KINDS = ("table", "auto")
#: Origins of a trained model's score, in the order in which they are asked.
ORIGINS = ("measured", "published")


@dataclass(frozen=True, slots=True)
class Result:
    """An answer: a score with its origin.

    Attributes:
        value: score in points x100 (higher is better), the mean where several trainings count.
        std: sample standard deviation over those trainings, NaN for a single one.
        n: number of trainings behind the value.
        task: task asked, and `metric` what was measured on it.
        protocol: training recipe.
        init: `"scratch"`, or the hash of the card whose weights were transferred.
        origin: `"published"`, `"measured"` or `"predicted"`.
        cost_seconds: mean seconds of one training, pre-training plus fine-tuning; a fine-tuning time that is not
            known is assumed (see `results.training_cost_seconds`). NaN where nothing is known.
        source: key into `Benchmark.sources`.
        card_hash: hash of the card asked.
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
    source: str
    card_hash: str


class _Score(NamedTuple):
    """One score of one training, with what the two tables say of it."""

    replicate: int
    value: float
    metric: str
    cost_seconds: float
    source: str


class _Setting(NamedTuple):
    """What the scores of one card are told apart by."""

    task: str
    protocol: str
    init: str
    origin: str


class Benchmark:
    """Scores of trained encoders by card, task and protocol. Queries are deterministic lookups.

    Attributes:
        protocols: what is known of every training recipe, by name.
        sources: citation, licence and extent of every source, by key.
    """

    def __init__(
        self,
        architectures: pa.Table,
        runs: pa.Table,
        results: pa.Table,
        protocols: dict[str, Any],
        sources: dict[str, Any],
    ) -> None:
        self.protocols = protocols
        self.sources = sources
        self._architectures = architectures
        self._scores: dict[str, dict[_Setting, list[_Score]]] = {}
        trainings = {row["run_id"]: row for row in runs.to_pylist()}
        for row in results.to_pylist():
            training = trainings[row["run_id"]]
            cost = math.nan
            if training["pretrain_seconds"] is not None:
                cost = training_cost_seconds(training["pretrain_seconds"], training["finetune_seconds"])
            setting = _Setting(row["task"], row["protocol"], row["init"], training["origin"])
            self._scores.setdefault(row["hash"], {}).setdefault(setting, []).append(
                _Score(row["replicate"], row["value"], row["metric"], cost, training["source"])
            )

    def query(
        self,
        card: ModelCard | Mapping[str, Any] | str,
        task: str = GLUE8,
        protocol: str | None = None,
        kind: str = "table",
        replicate: int | None = None,
        seed: int | None = None,
        *,
        init: str = SCRATCH,
    ) -> Result:
        """The score of a card: the mean over its replicates, or one replicate.

        Trainings of different origins are never averaged: measured ones, which are the user's own, come before
        published ones.

        Args:
            card: a `ModelCard`, its dictionary, its JSON, or its hash.
            task: one of `tasks`.
            protocol: one of `protocols`; `None` is the default one.
            kind: `"table"`, a trained model's score; `"auto"`, the same while no surrogate is shipped.
            replicate: number of one training, from 0; `None` averages over all.
            seed: of a run drawn from a surrogate; refused while none is shipped.
            init: `"scratch"`, or a donor's hash for weights transferred from it.

        Raises:
            NotMeasuredError: no such score; the text says what there is for this card.
            InvalidCardError: the card is malformed.
            OptionError: no such task, protocol or kind exists at all.
        """
        digest = card.hash if isinstance(card, ModelCard) else _hash_of(card)
        if kind not in KINDS:
            raise OptionError(f"unknown kind {kind!r}; this version answers {', '.join(KINDS)}")
        if seed is not None:
            raise OptionError("seed draws a run from a surrogate, and this version ships none")
        protocol = protocol or DEFAULT_PROTOCOL
        known = self._scores.get(digest, {})
        for origin in ORIGINS:
            setting = _Setting(task, protocol, init, origin)
            if setting in known:
                return _summarise(_replicates(known[setting], replicate, digest), setting, digest)
        raise self._nothing_for(digest, task, protocol, init)

    def best(self, task: str = GLUE8, protocol: str | None = None) -> Result:
        """The highest mean score of a task among cards trained from scratch; raises as `query` does."""
        results = [self.query(digest, task, protocol) for digest in self.hashes(task, protocol)]
        if not results:
            raise NotMeasuredError(f"no card has a {task} score under protocol {protocol or DEFAULT_PROTOCOL}")
        return max(results, key=lambda result: result.value)

    def hashes(self, task: str = GLUE8, protocol: str | None = None) -> Iterator[str]:
        """Hashes of all cards with a score of this task and protocol from scratch, in table order."""
        protocol = protocol or DEFAULT_PROTOCOL
        self._check_names(task, protocol)
        wanted = {_Setting(task, protocol, SCRATCH, origin) for origin in ORIGINS}
        return (digest for digest, settings in self._scores.items() if not wanted.isdisjoint(settings))

    def card(self, digest: str) -> ModelCard:
        """The card of a hash of G1 or of a trained model; raises `NotMeasuredError` for any other."""
        text = self._cards.get(_hash_of(digest))
        if text is None:
            raise NotMeasuredError(f"no card of hash {digest[:12]}... is in the tables")
        return ModelCard.from_json(text)

    @cached_property
    def _cards(self) -> dict[str, str]:
        table = self._architectures
        return dict(zip(table["hash"].to_pylist(), table["card"].to_pylist(), strict=True))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with scores: GLUE tasks by name, and `glue8`, the mean of the eight without WNLI."""
        return tuple(sorted({setting.task for settings in self._scores.values() for setting in settings}))

    def _check_names(self, task: str, protocol: str) -> None:
        if task not in self.tasks:
            raise OptionError(f"unknown task {task!r}; there are {', '.join(self.tasks)}")
        if protocol not in self.protocols:
            raise OptionError(f"unknown protocol {protocol!r}; there is {', '.join(self.protocols)}")

    def known(self, digest: str) -> str:
        """What the tables have of a card: protocols, inits, origins and tasks, or `"no scores"`, as a text."""
        there: dict[tuple[str, str, str], list[str]] = {}
        for task, protocol, init, origin in self._scores.get(digest, {}):
            there.setdefault((protocol, init, origin), []).append(task)
        return (
            "; ".join(
                f"protocol {protocol}, init {init}, {origin}: {', '.join(sorted(tasks))}"
                for (protocol, init, origin), tasks in sorted(there.items())
            )
            or "no scores (the cards of space pool have)"
        )

    def _nothing_for(self, digest: str, task: str, protocol: str, init: str) -> Exception:
        """The error for a question without an answer, saying what there is instead."""
        try:
            self._check_names(task, protocol)
        except OptionError as error:
            return error
        return NotMeasuredError(
            f"card {digest[:12]}... has no {task} under protocol {protocol}, init {init}; "
            f"kind table has {self.known(digest)}"
        )


def load_benchmark(name: str = "flexibert") -> Benchmark:
    """The benchmark over the shipped tables.

    >>> load_benchmark("flexibert").best("glue8").n
    1

    Raises:
        OptionError: for another name than `flexibert`.
        TableCorruptError: a shipped table is not what was shipped.
    """
    if name.lower() != "flexibert":
        raise OptionError(f"unknown benchmark {name!r}; there is flexibert")
    return Benchmark(
        read_shipped("architectures.parquet", ARCHITECTURES),
        read_shipped("runs_trained.parquet", RUNS_TRAINED),
        read_shipped("results.parquet", RESULTS),
        read_shipped_toml("protocols.toml"),
        read_shipped_toml("sources.toml"),
    )


def _hash_of(card: Mapping[str, Any] | str) -> str:
    if not isinstance(card, str):
        return ModelCard.from_dict(card).hash
    text = card.strip()
    if len(text) == 64 and set(text) <= set("0123456789abcdefABCDEF"):
        return text.lower()
    if text.startswith("{"):
        return ModelCard.from_json(text).hash
    raise InvalidCardError(f"{text!r:.80} is neither the JSON of a model card nor a hash of 64 hex digits")


def _replicates(scores: list[_Score], replicate: int | None, digest: str) -> list[_Score]:
    """All scores, or those of one replicate."""
    if replicate is None:
        return scores
    chosen = [score for score in scores if score.replicate == replicate]
    if not chosen:
        raise NotMeasuredError(
            f"card {digest[:12]}... has {len(scores)} trainings, counted from 0; replicate {replicate} is none of them"
        )
    return chosen


def _summarise(scores: list[_Score], setting: _Setting, digest: str) -> Result:
    first = scores[0]
    values = [score.value for score in scores]
    return Result(
        value=fmean(values),
        std=stdev(values) if len(values) > 1 else math.nan,
        n=len(values),
        task=setting.task,
        metric=first.metric,
        protocol=setting.protocol,
        init=setting.init,
        origin=setting.origin,
        cost_seconds=fmean(score.cost_seconds for score in scores),
        source=first.source,
        card_hash=digest,
    )
