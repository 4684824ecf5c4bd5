"""Predictions of all cards of a space, as a table; those of G1 are shipped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, PREDICTED_G1, PREDICTIONS
from flexnas_bench.space import DesignSpace
from flexnas_bench.storage import read_shipped
from flexnas_bench.surrogate.model import Surrogate

if TYPE_CHECKING:
    import pandas as pd

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


def shipped_predictions(task: str = GLUE8, protocol: str = DEFAULT_PROTOCOL) -> pd.DataFrame:
    """The shipped predictions of one task for all of G1, by hash in the order of G1; empty where none are shipped."""
    table = read_shipped(PREDICTED_G1, PREDICTIONS).to_pandas()
    found = table[(table["task"] == task) & (table["protocol"] == protocol)]
    return found.set_index("hash").drop(columns=["task", "protocol"])
