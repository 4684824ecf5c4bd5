"""Spaces by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidSpaceError, NotInSpaceError, shown
from flexnas_bench.space.base import DesignSpace
from flexnas_bench.space.choices import Choices
from flexnas_bench.space.description import read_cards, read_toml
from flexnas_bench.space.grid import GridSpace
from flexnas_bench.space.listed import ListSpace

_GRIDS = {
    "g1": Choices(layers_per_stack=2),
    "g2": Choices(),
    "g3": Choices(heterogeneous_feed_forward=True),
    "homogeneous": Choices(layers_per_stack=None),
}
SPACE_NAMES = (*_GRIDS, "pool")


_READERS = {".toml": read_toml, ".jsonl": read_cards}


def load_space(name: str | Path) -> DesignSpace:
    """A design space of the paper, the pool of cards that others have trained, or one's own.

    `g1`: stacks of two equal layers, 9,312 cards; `g2`: single layers, 84,943,872; `g3`: free feed-forward
    widths, 3,317,817,600 (section 3.2.2); `homogeneous`: all layers equal, 192, a part of `g1`; `pool`:
    the 491 cards with published GLUE results, a frozen list without scores; `FILE.toml`: choices of one's own
    (see `DesignSpace.from_toml`); `FILE.jsonl`: a list of cards, a JSON each line.

    Raises:
        NotInSpaceError: for a name that is none of these.
        InvalidSpaceError: the file makes no sense.
    """
    if not isinstance(name, str | Path):
        raise NotInSpaceError(f"no space is named {shown(name)}")
    reader = _READERS.get(Path(name).suffix.lower())
    if reader is None:
        return _load_named(str(name).lower())
    space = reader(Path(name))
    if space.name in SPACE_NAMES:
        raise InvalidSpaceError(f"{name}: name: {space.name} is the name of a space of flexnas-bench; take another")
    return space


@cache
def _load_named(key: str) -> DesignSpace:
    if key in _GRIDS:
        return GridSpace(key, _GRIDS[key])
    if key == "pool":
        from flexnas_bench.storage import read_shipped  # pyarrow, which no other space needs

        table = read_shipped("pool.parquet")
        cards = [ModelCard.from_json(text) for text in table["card"].to_pylist()]
        return ListSpace("pool", cards, _GRIDS["g2"])
    raise NotInSpaceError(f"no space is named {shown(key)}; known: {', '.join(SPACE_NAMES)}, or a .toml or .jsonl file")
