"""Spaces that users describe in files: choices in TOML, cards as JSON lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import FlexnasError, InvalidCardError, InvalidSpaceError, TableCorruptError, shown
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space.base import DesignSpace
from flexnas_bench.space.choices import Choices
from flexnas_bench.space.grid import GridSpace

_SIZES = ("layers", "hidden", "heads", "feed_forward", "feed_forward_stacks")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
ALL = "all"


def read_toml(path: Path) -> DesignSpace:
    """A space of all products of choices, as a TOML file describes it.

    Every entry but `heterogeneous_feed_forward` (false) is needed:

        name = "tiny-to-large"
        layers = [2, 4, 8, 12, 24]
        layers_per_stack = 2             # or "all": all layers of a card are equal
        hidden = [128, 256, 512, 1024]
        heads = [2, 4, 8, 16]
        feed_forward = [512, 1024, 2048, 4096]
        feed_forward_stacks = [1, 3]
        heterogeneous_feed_forward = false

        [operations]
        SA = ["SDP", "WMA"]
        LT = ["DFT", "DCT"]
        DSC = [5, 9]

    Raises:
        InvalidSpaceError: the file cannot be read, or an entry makes no sense; the text names it.
    """
    from flexnas_bench.storage import read_toml as read_settings  # pyarrow, which no other space needs

    try:
        facts = read_settings(path)
    except TableCorruptError as error:
        raise InvalidSpaceError(str(error)) from None
    try:
        choices = _choices(facts)
        return GridSpace(_name(facts), choices)
    except FlexnasError as error:
        raise InvalidSpaceError(f"space {path}: {error}") from None


def read_cards(path: Path) -> DesignSpace:
    """A space of the cards of a file, one JSON a line, named after the file.

    Raises:
        InvalidSpaceError: the file cannot be read, is empty, or has a card twice.
        InvalidCardError: a line is no card; the text names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidSpaceError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    cards: dict[ModelCard, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            card = ModelCard.from_json(line) if line.strip() else None
        except InvalidCardError as error:
            raise InvalidCardError(f"{path}, line {number}: {error}") from None
        if card is not None and cards.setdefault(card, number) != number:
            raise InvalidSpaceError(f"{path}, line {number}: the card of line {cards[card]} again")
    return DesignSpace.from_cards(_name({"name": path.stem}), cards)


def _name(facts: dict[str, Any]) -> str:
    name = facts.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSpaceError(f"name: {shown(name)} is not a word of up to 64 letters, digits, dots and dashes")
    return name


def _choices(facts: dict[str, Any]) -> Choices:
    optional = {"heterogeneous_feed_forward"}
    known = {"name", "layers_per_stack", "operations", *_SIZES}
    if extra := sorted(facts.keys() - known - optional):
        raise InvalidSpaceError(f"{extra[0]}: unknown; a space has {', '.join(sorted(known | optional))}")
    if missing := sorted(known - facts.keys()):
        raise InvalidSpaceError(f"{missing[0]}: missing")
    heterogeneous = facts.get("heterogeneous_feed_forward", False)
    if not isinstance(heterogeneous, bool):
        raise InvalidSpaceError(f"heterogeneous_feed_forward: {shown(heterogeneous)} is neither true nor false")
    repeat = facts["layers_per_stack"]
    return Choices(
        layers_per_stack=None if repeat == ALL else repeat,
        operations=_operations(facts["operations"]),
        heterogeneous_feed_forward=heterogeneous,
        **{entry: _list(entry, facts[entry]) for entry in _SIZES},
    )


def _list(entry: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list) or not values:
        raise InvalidSpaceError(f"{entry}: {shown(values)} is not a list of whole numbers")
    return tuple(values)


def _operations(table: Any) -> tuple[tuple[str, str | int], ...]:
    if not isinstance(table, dict) or not table:
        raise InvalidSpaceError('operations: not a table of parameters by operation, as SA = ["SDP", "WMA"]')
    found: list[tuple[str, str | int]] = []
    for operation, parameters in table.items():
        if not isinstance(parameters, list) or not parameters:
            raise InvalidSpaceError(f"operations: {operation} = {shown(parameters)} is not a list of parameters")
        for parameter in parameters:
            layer = EncoderLayer.read(operation, 1, 1, [1], parameter)
            found.append((layer.operation, layer.parameter))
    return tuple(found)
