"""Predictions of all cards of a space, as a table."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from flexnas_bench.results import PREDICTIONS
from flexnas_bench.space import DesignSpace
from flexnas_bench.surrogate.model import Surrogate

#: Digits after the point; the surrogate itself has more.
TABLE_DIGITS = 4


def prediction_table(space: DesignSpace, models: Iterable[tuple[str, str, Surrogate]]) -> pa.Table:
    """A row a card of the space and a model, in the order of the space; raises `NotInSpaceError`.

    Args:
        space: the cards.
        models: of each the task, the protocol, and the surrogate.
    """
    cards = list(space)
    hashes = [card.hash for card in cards]
    parts = []
    for task, protocol, surrogate in models:
        found = surrogate.predict(cards)
        numbers = (column.round(TABLE_DIGITS) for column in (found.mean, found.epistemic_std, found.aleatoric_std))
        names = ([name] * len(cards) for name in (task, protocol))
        parts.append(pa.table([hashes, *names, *numbers, found.in_support], schema=PREDICTIONS))
    return pa.concat_tables(parts)
