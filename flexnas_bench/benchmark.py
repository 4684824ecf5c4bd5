"""The benchmark: asks a card, answers with a score and where it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import asdict
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.answers import Replicates, Result, Score, Setting, one_replicate, preferred, summarise
from flexnas_bench.card import ModelCard, is_hash
from flexnas_bench.errors import InvalidCardError, NotInSpaceError, NotMeasuredError, OptionError, shown
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, METRICS, PREDICTED, SCRATCH, tasks_of, training_cost_seconds

if TYPE_CHECKING:
    import pandas as pd

    from flexnas_bench.surrogate import CurveSurrogate, Predictor, Surrogate, Trained
    from flexnas_bench.surrogate.fitted import FittedModel

#: Kinds of answer.
KINDS = ("table", "surrogate", "auto")
Card = ModelCard | Mapping[str, Any] | str


class Benchmark:
    """Scores of trained encoders by card, task and protocol. Queries are deterministic lookups.

    Args:
        scores: one dictionary a score, with the columns of `RUNS_TRAINED` and `RESULTS`; of two with the same hash,
            task, protocol, init, origin and replicate the later one stands.
        cards: called once, when it is first needed, for the JSON of cards by hash.
        protocols: what is known of every training recipe, by name.
        sources: citation, licence and extent of every source, by key.
        fitted: called once, when predictions are first asked for, for hyperparameters of surrogates by what these were
            fitted to; others are found.
    """

    def __init__(
        self,
        scores: Iterable[Mapping[str, Any]],
        cards: Callable[[], Mapping[str, str]],
        protocols: Mapping[str, Mapping[str, Any]],
        sources: Mapping[str, Mapping[str, Any]],
        fitted: Callable[[], Mapping[str, FittedModel]] = dict,
    ) -> None:
        self.protocols = dict(protocols)
        self.sources = dict(sources)
        self._load_cards, self._load_fitted = cards, fitted
        self._means: dict[tuple[str, str, str], dict[str, float]] = {}
        self._answers: dict[tuple[str, str, str, str], Result] = {}
        self._scores: dict[str, dict[Setting, Replicates]] = {}
        self._surrogates: dict[tuple[str, str], Predictor] = {}
        for row in scores:
            cost = training_cost_seconds(row["pretrain_seconds"], row["finetune_seconds"], row["init"])
            setting = Setting(row["task"], row["protocol"], row["init"], row["origin"])
            assumed = row["finetune_seconds"] is None and not math.isnan(cost)
            score = Score(row["replicate"], row["value"], row["metric"], cost, assumed, row["source"])
            self._scores.setdefault(row["hash"], {}).setdefault(setting, {})[score.replicate] = score

    def query(
        self,
        card: Card,
        task: str = GLUE8,
        protocol: str | None = None,
        kind: str = "table",
        replicate: int | None = None,
        seed: int | None = None,
        *,
        init: str = SCRATCH,
    ) -> Result:
        """The score of a card: the mean over its replicates, or one replicate.

        Trainings of different origins are never averaged: measured ones, the user's own or the project's, come before
        published ones.

        Args:
            card: a `ModelCard`, its dictionary, its JSON, its hash, or its name (see `ModelCard.named`).
            task: one of `tasks`.
            protocol: one of `protocols`; `None` is the default one.
            kind: `"table"`, a trained model's score; `"surrogate"`, a predicted one (see `surrogate`); `"auto"`, a
                trained model's where there is one, otherwise a predicted one.
            replicate: number of one training, from 0; `None` averages over all.
            seed: of a run drawn from the surrogate, where it answers, in place of the predicted mean.
            init: `"scratch"`, or a donor's hash for weights transferred from it.

        Raises:
            NotMeasuredError: no such score; the text says what there is for this card.
            InvalidCardError: the card is malformed.
            OptionError: no such task, protocol or kind exists at all, or a setting that does not go with the kind.
        """
        if kind not in KINDS:
            raise OptionError(f"unknown kind {shown(kind)}; there are {', '.join(KINDS)}")
        if seed is not None and kind == "table":
            raise OptionError("seed draws a run from the surrogate; a table has none to draw")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise OptionError(f"seed: {shown(seed)} is not a whole number, 0 or more")
        if kind == "surrogate":
            if replicate is not None or init != SCRATCH:
                raise OptionError("kind surrogate predicts trainings from scratch, and has no replicates")
            return self._predicted(card, task, protocol or DEFAULT_PROTOCOL, seed)
        digest = self._digest(card)
        protocol = protocol or DEFAULT_PROTOCOL
        question = (digest, task, protocol, init)
        if replicate is None and question in self._answers:
            return self._answers[question]
        setting, scores = preferred(self._scores.get(digest, {}), task, protocol, init)
        if not scores:
            nothing = self._nothing_for(digest, task, protocol, init)
            if kind != "auto" or init != SCRATCH or replicate is not None or not isinstance(nothing, NotMeasuredError):
                raise nothing
            try:
                return self._predicted(card, task, protocol, seed)
            except NotMeasuredError:
                raise nothing from None
        if replicate is not None:
            return summarise(one_replicate(scores, replicate, digest), setting, digest)
        self._answers[question] = summarise(scores, setting, digest)
        return self._answers[question]

    def surrogate(self, task: str = GLUE8, protocol: str | None = None) -> Predictor:
        """The model that predicts scores of a task, fitted to all cards that have one from scratch; kept.

        Under the protocol of a checkpoint of a learning curve it is a line through predictions of whole trainings.

        Raises:
            NotMeasuredError: fewer than 50 cards have a score, or ten at a checkpoint.
            OptionError: no such task or protocol exists at all.
        """
        protocol = protocol or DEFAULT_PROTOCOL
        self._check_names(task, protocol)
        if (task, protocol) not in self._surrogates:
            fit = self._fit_curve if "curve" in self.protocols[protocol] else self._fit_surrogate
            self._surrogates[task, protocol] = fit(task, protocol)
        return self._surrogates[task, protocol]

    def _fit_surrogate(self, task: str, protocol: str) -> Surrogate:
        from flexnas_bench.surrogate import Surrogate

        return Surrogate(
            self.trained(task, protocol),
            name=f"{task}, {protocol}",
            source=self._sources_of(task, protocol),
            fitted=self._load_fitted(),
        )

    def _fit_curve(self, task: str, protocol: str) -> CurveSurrogate:
        """A checkpoint, from predictions of the whole trainings that most cards have."""
        from flexnas_bench.surrogate import CurveSurrogate, Surrogate

        base = self.surrogate(task, DEFAULT_PROTOCOL)
        if not isinstance(base, Surrogate):
            raise NotMeasuredError(f"{protocol} is predicted from the surrogate of {DEFAULT_PROTOCOL} alone")
        values = self._values(task, protocol, SCRATCH)
        steps = [self.protocols[name]["pretraining_steps"] for name in (protocol, DEFAULT_PROTOCOL)]
        return CurveSurrogate(
            base,
            [self.card(digest) for digest in values],
            list(values.values()),
            steps[0] / steps[1],
            name=f"{task}, {protocol}",
            source=self._sources_of(task, protocol),
        )

    def _sources_of(self, task: str, protocol: str) -> str:
        """Keys of the sources of all scores from scratch."""
        sources = (self.query(digest, task, protocol).source for digest in self._values(task, protocol, SCRATCH))
        return ", ".join(dict.fromkeys(sources))

    def with_surrogate(self, model: Predictor, task: str = GLUE8, protocol: str | None = None) -> Benchmark:
        """The same tables, with a model of one's own for predicted scores of a task; raises `OptionError`."""
        protocol = protocol or DEFAULT_PROTOCOL
        self._check_names(task, protocol)
        other = copy(self)
        kept = {
            key: one for key, one in self._surrogates.items() if key[0] != task or "curve" not in self.protocols[key[1]]
        }
        other._surrogates = kept | {(task, protocol): model}  # without checkpoints, which follow from whole trainings
        return other

    def trained(self, task: str = GLUE8, protocol: str | None = None) -> list[Trained]:
        """All cards with a score of a task from scratch, and which of their trainings failed; raises as `surrogate`."""
        from flexnas_bench.surrogate.trained import collect

        protocol = protocol or DEFAULT_PROTOCOL
        cards = {digest: self.card(digest) for digest in self._values(task, protocol, SCRATCH)}
        chosen = {digest: preferred(self._scores[digest], task, protocol, SCRATCH)[0] for digest in cards}
        tasks = [
            {d: self._scores[d].get(setting._replace(task=name), {}) for d, setting in chosen.items()}
            for name in dict.fromkeys((task, *tasks_of(task)))
        ]
        return collect(cards, tasks)

    def _predicted(self, card: Card, task: str, protocol: str, seed: int | None) -> Result:
        """What the surrogate says of a card."""
        surrogate = self.surrogate(task, protocol)
        model = self.card(card)
        try:
            found = surrogate.predict([model])
        except NotInSpaceError as error:
            raise NotMeasuredError(f"card {model.hash[:12]}... has no predicted {task}: {error}") from error
        return Result(
            value=float(found.mean[0]) if seed is None else surrogate.draw(model, seed),
            std=float(found.std[0]),
            n=0,
            task=task,
            metric=METRICS.get(task, task),
            protocol=protocol,
            init=SCRATCH,
            origin=PREDICTED,
            cost_seconds=float(surrogate.cost_seconds([model])[0]),
            cost_assumed=True,
            source=surrogate.source,
            card_hash=model.hash,
            in_support=bool(found.in_support[0]),
        )

    def _digest(self, card: Card) -> str:
        """The hash of a card, however it is given; raises `InvalidCardError` for what is none."""
        if isinstance(card, str) and card in self._scores:
            return card
        found = _read(card)
        return found if isinstance(found, str) else found.hash

    def query_many(
        self, cards: Iterable[Card], task: str = GLUE8, protocol: str | None = None, *, init: str = SCRATCH
    ) -> NDArray[np.float64]:
        """The values that `query` has for many cards or hashes, shape `(N,)`, NaN where there is none.

        >>> from flexnas_bench import load_benchmark
        >>> bench = load_benchmark()
        >>> bench.query_many([bench.best().card_hash, "0" * 64]).round(2)
        array([75.13,   nan])

        Raises:
            InvalidCardError: one of them is neither a card nor a hash.
            OptionError: no such task or protocol exists at all.
        """
        values = self._values(task, protocol or DEFAULT_PROTOCOL, init)
        if isinstance(cards, str | Mapping | ModelCard):
            raise InvalidCardError("query_many takes a list of cards or hashes; query takes a single one")

        def value_of(card: Card) -> float:
            if isinstance(card, str) and (card in values or is_hash(card)):
                return values.get(card, math.nan)
            return values.get(self._digest(card), math.nan)

        return np.fromiter(map(value_of, cards), dtype=np.float64)

    def trajectory(self, card: Card, task: str = GLUE8, curve: str | None = None) -> pd.DataFrame:
        """A learning curve: the score of a card at every checkpoint of its pre-training, by step count.

        >>> from flexnas_bench import load_benchmark
        >>> bench = load_benchmark()
        >>> some = next(bench.hashes("rte", "electra-owt-1m-step-0k"))
        >>> bench.trajectory(some, "rte")[["pretrain_steps", "value"]].iloc[-1].tolist()
        [1000000.0, 54.51]

        Args:
            card: as for `query`.
            task: one of `tasks`.
            curve: name of a family of protocols (`curve` in their descriptions); needed if the card has several.

        Returns:
            A row a checkpoint: `pretrain_steps` and the fields of its `Result`.

        Raises:
            NotMeasuredError: the card has no such curve; the text says which ones it has.
            OptionError: no such task exists.
        """
        digest = self._digest(card)
        found: dict[str, list[dict[str, Any]]] = {}
        for name, facts in self.protocols.items():
            if "curve" in facts and digest in self._values(task, name, SCRATCH):
                point = {"pretrain_steps": facts["pretraining_steps"]} | asdict(self.query(digest, task, name))
                found.setdefault(facts["curve"], []).append(point)
        if curve is None and len(found) == 1:
            (curve,) = found
        if curve not in found:
            raise NotMeasuredError(
                f"card {digest[:12]}... has no learning curve {curve or 'that is its only one'} of {task}; "
                f"it has {', '.join(found) or 'none'}"
            )
        import pandas as pd

        return pd.DataFrame(found[curve]).sort_values("pretrain_steps", ignore_index=True)

    def to_frame(self, task: str | None = None, protocol: str | None = None) -> pd.DataFrame:
        """Every score of every training, or those of one task and protocol: a row each, with origin and source.

        Raises:
            OptionError: no such task or protocol exists at all.
        """
        import pandas as pd

        self._check_names(task or GLUE8, protocol or DEFAULT_PROTOCOL)
        rows = [
            (digest, *setting, *score)
            for digest, settings in self._scores.items()
            for setting, scores in settings.items()
            if task in (None, setting.task) and protocol in (None, setting.protocol)
            for score in scores.values()
        ]
        return pd.DataFrame(rows, columns=["card_hash", *Setting._fields, *Score._fields])

    def cite(self, result: Result) -> str:
        """Citations of all sources of an answer."""
        return self.citations(result.source)

    def citations(self, source: str) -> str:
        """Citations of sources, named as in `Result.source`."""
        return "; ".join(self.sources[key]["citation"] for key in source.split(", "))

    def best(self, task: str = GLUE8, protocol: str | None = None) -> Result:
        """The highest mean score of a task among cards trained from scratch; raises as `query` does."""
        values = self._values(task, protocol or DEFAULT_PROTOCOL, SCRATCH)
        scored = {digest: value for digest, value in values.items() if not math.isnan(value)}
        if not scored:
            raise NotMeasuredError(f"no card has a {task} score under protocol {protocol or DEFAULT_PROTOCOL}")
        return self.query(max(scored, key=scored.__getitem__), task, protocol)

    def hashes(self, task: str = GLUE8, protocol: str | None = None) -> Iterator[str]:
        """Hashes of all cards with a score of this task and protocol from scratch, in table order."""
        return iter(self._values(task, protocol or DEFAULT_PROTOCOL, SCRATCH))

    def card(self, card: Card) -> ModelCard:
        """The card of a hash, or of whatever else `query` takes.

        Raises:
            NotMeasuredError: a hash that is neither of G1 nor of a trained model.
            InvalidCardError: no hash, and no card.
        """
        found = _read(card)
        if isinstance(found, ModelCard):
            return found
        text = self._cards.get(found)
        if text is None:
            raise NotMeasuredError(f"no card of hash {found[:12]}... is in the tables")
        return ModelCard.from_json(text)

    @cached_property
    def _cards(self) -> Mapping[str, str]:
        return self._load_cards()

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Tasks with scores: GLUE tasks by name, and `glue8`, the mean of the eight without WNLI."""
        return tuple(sorted({setting.task for settings in self._scores.values() for setting in settings}))

    def _values(self, task: str, protocol: str, init: str) -> dict[str, float]:
        """What `query` answers for every card that it has an answer for, by hash in table order; made once."""
        self._check_names(task, protocol)
        key = (task, protocol, init)
        if key not in self._means:
            self._means[key] = {
                digest: fmean(score.value for score in scores.values())
                for digest, settings in self._scores.items()
                if (scores := preferred(settings, *key)[1])
            }
        return self._means[key]

    def _check_names(self, task: str, protocol: str) -> None:
        if task not in self.tasks and task not in METRICS:
            raise OptionError(f"unknown task {shown(task)}; there are {', '.join(self.tasks)}")
        if protocol not in self.protocols:
            raise OptionError(f"unknown protocol {shown(protocol)}; there is {', '.join(self._protocol_names())}")

    def _protocol_names(self) -> list[str]:
        """Names of all protocols, a learning curve once."""
        names = (f"{facts['curve']}-step-...k" if "curve" in facts else name for name, facts in self.protocols.items())
        return list(dict.fromkeys(names))

    def known(self, digest: str) -> str:
        """What the tables have of a card: protocols, inits, origins and tasks, or `"no scores"`, as a text."""
        there: dict[tuple[str, str, str], set[str]] = {}
        for task, protocol, init, origin in self._scores.get(digest, {}):
            curve = self.protocols[protocol].get("curve")
            name = f"{curve}-step-...k" if curve else protocol
            there.setdefault((name, init, origin), set()).add(task)
        return (
            "; ".join(
                f"protocol {protocol}, init {init}, {origin}: {', '.join(sorted(tasks))}"
                for (protocol, init, origin), tasks in sorted(there.items())
            )
            or "no scores at all (the cards of space pool have)"
        )

    def _nothing_for(self, digest: str, task: str, protocol: str, init: str) -> Exception:
        """The error for a question without an answer, saying what there is instead."""
        try:
            self._check_names(task, protocol)
        except OptionError as error:
            return error
        return NotMeasuredError(
            f"card {digest[:12]}... has no {task} under protocol {protocol}, init {init}; "
            f"the tables have {self.known(digest)}"
        )


def _read(card: Card) -> ModelCard | str:
    """A card, or the hash that it is given by."""
    if isinstance(card, ModelCard):
        return card
    if not isinstance(card, str):
        return ModelCard.from_dict(card)
    text = card.strip()
    if is_hash(text.lower()):
        return text.lower()
    return ModelCard.from_json(text) if text.startswith("{") else ModelCard.named(text)
