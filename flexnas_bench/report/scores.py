"""What is known, and what is predicted, of the cards of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotInSpaceError, NotMeasuredError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, SCRATCH
from flexnas_bench.surrogate.table import shipped_predictions

_DIGITS = 2


def score_tables(bench: Benchmark, cards: Sequence[ModelCard], inside: int, shipped: bool) -> list[dict[str, Any]]:
    """Scores of cards, a table a protocol and task that any of them has one of, a user's own first.

    A table has `real`, a row a trained card: its position, value (`None` if it failed), sample standard deviation (or
    `None`), number of trainings, origin, source. And it has `predicted`, or `None`: mean and standard deviation of one
    training of every card of the space, positions of those out of support, source. Learning curves are left out.

    Args:
        bench: what is known.
        cards: those of the space first, then others.
        inside: how many are of the space.
        shipped: whether `bench` has the shipped tables alone, so that the shipped predictions are its own.
    """
    tables = []
    own = bench.protocols.keys() - load_benchmark().protocols.keys()
    for protocol in sorted(_protocols(bench), key=lambda name: (name not in own, name != DEFAULT_PROTOCOL)):
        for task in sorted(bench.tasks, key=lambda name: name != GLUE8):
            real = list(_real(bench, cards, task, protocol))
            predicted = _predicted(bench, cards[:inside], task, protocol, shipped)
            if real or predicted:
                tables.append({"protocol": protocol, "task": task, "real": real, "predicted": predicted})
    return tables


def transferred_scores(bench: Benchmark, cards: Sequence[ModelCard]) -> list[list[Any]]:
    """Scores from weights of another card: position, protocol, task, value, trainings, origin, source, donor's hash."""
    places = {card.hash: position for position, card in enumerate(cards)}
    table = bench.to_frame()
    table = table[(table["init"] != SCRATCH) & table["card_hash"].isin(places)]
    rows = []
    for (digest, protocol, task, init), _ in table.groupby(["card_hash", "protocol", "task", "init"], sort=False):
        found = bench.query(digest, task, protocol, init=init)
        value = None if np.isnan(found.value) else round(found.value, _DIGITS)
        rows.append([places[digest], protocol, task, value, found.n, found.origin, found.source, init])
    return rows


def scored_cards(bench: Benchmark) -> list[ModelCard]:
    """All cards that have been trained from scratch, but for learning curves, in table order."""
    digests = dict.fromkeys(
        digest for protocol in _protocols(bench) for task in bench.tasks for digest in bench.hashes(task, protocol)
    )
    return [bench.card(digest) for digest in digests]


def _protocols(bench: Benchmark) -> list[str]:
    return [name for name, facts in bench.protocols.items() if "curve" not in facts]


def _real(bench: Benchmark, cards: Sequence[ModelCard], task: str, protocol: str) -> Iterator[list[Any]]:
    there = set(bench.hashes(task, protocol))
    for position, card in enumerate(cards if there else ()):
        if card.hash in there:
            found = bench.query(card, task, protocol)
            std = None if np.isnan(found.std) else round(found.std, _DIGITS)
            value = None if np.isnan(found.value) else round(found.value, _DIGITS)
            yield [position, value, std, found.n, found.origin, found.source]


def _predicted(
    bench: Benchmark, cards: Sequence[ModelCard], task: str, protocol: str, shipped: bool
) -> dict[str, Any] | None:
    table = shipped_predictions(task, protocol)
    digests = [card.hash for card in cards]
    if shipped and table.index.isin(digests).sum() == len(cards):
        rows = table.loc[digests]
        mean, std = rows["mean"], np.hypot(rows["epistemic_std"], rows["aleatoric_std"])
        sources = {bench.query(digest, task, protocol).source for digest in bench.hashes(task, protocol)}
        support, source = rows["in_support"], ", ".join(sorted(sources))
    else:
        try:
            model = bench.surrogate(task, protocol)
            found = model.predict(cards)
        except (NotMeasuredError, NotInSpaceError):  # too few trainings, or cards that nothing can be said of
            return None
        mean, std, support, source = found.mean, found.std, found.in_support, model.source
    return {
        "mean": np.round(mean, _DIGITS).tolist(),
        "std": np.round(std, _DIGITS).tolist(),
        "out": np.flatnonzero(~np.asarray(support)).tolist(),
        "source": source,
    }
