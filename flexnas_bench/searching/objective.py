"""What a search is told of a card: the score of a trained one, or a predicted one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from flexnas_bench.answers import Result
from flexnas_bench.benchmark import KINDS, Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import MATRIX_LIMIT
from flexnas_bench.errors import NotInSpaceError, NotMeasuredError, OptionError, shown
from flexnas_bench.results import transfer_cost_seconds
from flexnas_bench.space import DesignSpace

_SOME = 1_000  # cards of a space too large to look at all of them


@dataclass(frozen=True)
class Objective:
    """Scores of one task under one protocol, by card; made by `choose_objective`.

    Attributes:
        bench: who answers.
        task: task whose score is maximised.
        protocol: training recipe.
        kind: `"table"`, scores of trained cards; `"surrogate"`, predicted ones; or `"live"` (see `searching.live`).
        noisy: whether a prediction is drawn as a training would draw it, rather than the mean.
    """

    bench: Benchmark
    task: str
    protocol: str
    kind: str
    noisy: bool = False

    def query(self, card: ModelCard, seed: int) -> Result:
        """The answer for a card; noise is that of the seed, the same for all who ask."""
        return self.bench.query(card, self.task, self.protocol, self.kind, seed=seed if self.noisy else None)

    def cite(self, result: Result) -> str:
        """Citations of all sources of an answer."""
        return self.bench.cite(result)

    def cost(self, result: Result, near: bool) -> tuple[float, bool]:
        """Seconds that an evaluation costs, and whether weights are transferred, as from a card that is near enough."""
        return (transfer_cost_seconds(result.cost_seconds) if near else result.cost_seconds), near

    def expected(self, cards: Sequence[ModelCard]) -> list[float]:
        """What a training of each card scores on average, best guess (see `Surrogate.expected`).

        NaN where too few cards are scored to say.
        """
        try:
            surrogate = self.bench.surrogate(self.task, self.protocol)
            if self.kind == "surrogate":
                return [float(mean) for mean in surrogate.predict(cards).mean]
            return [surrogate.expected(card) for card in cards]
        except (NotMeasuredError, NotInSpaceError):
            return [math.nan] * len(cards)

    def optimum(self, space: DesignSpace) -> float:
        """The highest score, or predicted mean, of a space; NaN where that has more than 100,000 cards."""
        if self.kind == "table":
            values = self.bench.query_many(space, self.task, self.protocol)
            return math.nan if np.isnan(values).all() else float(np.nanmax(values))
        return max(self.expected(list(space))) if space.size <= MATRIX_LIMIT else math.nan

    def knows_costs(self, space: DesignSpace) -> bool:
        """Whether it knows what every evaluation costs."""
        if self.kind == "surrogate":
            return not np.isnan(self.bench.surrogate(self.task, self.protocol).cost_seconds([space[0]])).any()
        return not any(math.isnan(self.query(card, 0).cost_seconds) for card in space)

    def digest(self, space: DesignSpace) -> str:
        """16 hex digits of all that it can say."""
        if self.kind == "surrogate":
            return self.bench.surrogate(self.task, self.protocol).digest
        answers = [self.query(card, 0) for card in sorted(space, key=lambda card: card.hash)]
        facts = [(answer.card_hash, answer.value, answer.cost_seconds, answer.origin) for answer in answers]
        return sha256(repr(facts).encode()).hexdigest()[:16]


def choose_objective(
    bench: Benchmark, space: DesignSpace, task: str, protocol: str, kind: str = "auto", noisy: bool = False
) -> Objective:
    """What a search of a space can be told.

    Args:
        bench: who answers.
        space: the space; of several levels the finest.
        task: task whose score is maximised.
        protocol: training recipe.
        kind: `"table"`, `"surrogate"`, or `"auto"`: the table if every card of the space has a score there, otherwise
            the surrogate; the two are never mixed.
        noisy: see `Objective`.

    Raises:
        NotMeasuredError: the table, or the surrogate, does not know every card of the space.
        OptionError: an unknown kind, or noise asked of the table.
    """
    if kind not in KINDS:
        raise OptionError(f"kind: {shown(kind)} is none of {', '.join(KINDS)}")
    known = _known(bench, space, task, protocol)
    if kind == "table" or (kind == "auto" and not noisy and known == space.size):
        if noisy:
            raise OptionError("noisy: a table has the noise of its trainings; only predictions are drawn")
        if known < space.size:
            raise NotMeasuredError(_missing(bench, space, task, protocol, known))
        return Objective(bench, task, protocol, "table")
    try:
        predicted = bench.surrogate(task, protocol).space
        for card in space if space.size <= MATRIX_LIMIT else space.sample(_SOME):
            predicted.index(card)
    except (NotMeasuredError, NotInSpaceError) as error:
        reason = "" if known == space.size else f"{_missing(bench, space, task, protocol, known)}; "
        raise NotMeasuredError(f"{reason}{error}") from error
    return Objective(bench, task, protocol, "surrogate", noisy)


def _known(bench: Benchmark, space: DesignSpace, task: str, protocol: str) -> int:
    return sum(bench.card(digest) in space for digest in bench.hashes(task, protocol))


def _missing(bench: Benchmark, space: DesignSpace, task: str, protocol: str, known: int) -> str:
    whole = [other for other in bench.protocols if _known(bench, space, task, other) == space.size]
    return (
        f"only {known:,} of the {space.size:,} cards of space {space.name} have a {task} score under protocol "
        f"{protocol}, and a search of trained cards needs all; "
        + (f"{' and '.join(whole)} has them" if whole else "a .jsonl file of cards that have one is a space too")
    )
