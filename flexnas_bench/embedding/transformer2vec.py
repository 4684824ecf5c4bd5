"""Transformer2vec: vectors whose Euclidean distances follow a distance between cards (section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.alignment import alignment_distances
from flexnas_bench.distance.blocks import numbering
from flexnas_bench.distance.outline import node_distances
from flexnas_bench.embedding.base import Embedding, Vectors
from flexnas_bench.errors import NotInSpaceError, TableCorruptError
from flexnas_bench.space import SPACE_NAMES, Choices, DesignSpace, load_space
from flexnas_bench.storage import read_parquet, write_parquet

SCHEMA = pa.schema(
    [pa.field("hash", pa.string(), nullable=False), pa.field("vector", pa.list_(pa.float32()), nullable=False)]
)
OWN_SCHEMA = SCHEMA.append(pa.field("card", pa.string(), nullable=False))
#: By how much the distances of G1 exceed their node parts, on average over all pairs (`benchmarks/distance_time.py`).
EDGE_PART = 2.21
_LANDMARKS = 1_000
#: Distances that vectors can follow: those of cards to landmarks, shape `(cards, landmarks)`.
DISTANCES: dict[str, Callable[[Sequence[ModelCard], Sequence[ModelCard], Choices], NDArray[np.float32]]] = {
    "ged": lambda cards, landmarks, choices: node_distances(cards, landmarks, choices=choices) + EDGE_PART,
    "alignment": lambda cards, landmarks, choices: alignment_distances(cards, landmarks, choices=choices),
}


class Transformer2vec(Embedding):
    """Vectors learned for the cards of one space, and those of other cards by their distances to landmarks.

    A card of the space that the vectors were learned for has the vector of the table. Any other gets the one whose
    distances to 1,000 cards of that space follow the given distances best (`scaling.place`); for the graph
    edit distance, its node part and the mean of the rest have to do.

    Args:
        space: the design space whose cards are the rows of `matrix`.
        path: a table of `flexnas-bench embed`.

    Raises:
        TableCorruptError: the file is no such table.
    """

    def __init__(self, space: DesignSpace, path: Path) -> None:
        super().__init__(space)
        self.name = path.stem
        table = read_parquet(path)
        about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        shipped, distance = about.get("space") in SPACE_NAMES, about.get("distance")
        if not table.schema.equals(SCHEMA if shipped else OWN_SCHEMA) or distance not in DISTANCES:
            raise TableCorruptError(f"{path} is no table of vectors")
        vectors = table["vector"].combine_chunks()
        self._learned = load_space(about["space"]) if shipped else _own_space(about.get("space", ""), table)
        if self._learned.size != len(table) or len(set(vectors.value_lengths().to_pylist())) != 1:
            raise TableCorruptError(f"{path} has not one vector for each card of {self._learned!r}")
        self._distances = DISTANCES[distance]
        self._table = vectors.flatten().to_numpy().reshape(len(table), -1)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._table.shape[1])

    def vector(self, card: ModelCard) -> Vectors:
        """The vector of a card; raises `NotInSpaceError` for one with blocks that the space learned does not have."""
        vector: Vectors = self.vectors([card])[0]
        return vector

    def vectors(self, cards: Sequence[ModelCard]) -> Vectors:
        """Vectors of many cards, shape `(len(cards), dim)`; raises `NotInSpaceError` as `vector` does."""
        found = np.empty((len(cards), self.dim), np.float32)
        new = []
        for i, card in enumerate(cards):
            try:
                found[i] = self._table[self._learned.index(card)]
            except NotInSpaceError:
                new.append(i)
        if new:
            from flexnas_bench.embedding.scaling import place  # torch, which the vectors of the table do without

            landmarks, points = self._landmarks
            distances = self._distances([cards[i] for i in new], landmarks, numbering(self._learned.choices))
            found[new] = place(distances, points)
        return found

    @cached_property
    def _landmarks(self) -> tuple[list[ModelCard], Vectors]:
        """Cards of the space learned, the same ones every time, and their vectors."""
        chosen = np.random.default_rng(0).permutation(len(self._table))[:_LANDMARKS]
        return [self._learned[int(i)] for i in chosen], self._table[chosen]


def write_vectors(path: Path, space: DesignSpace, distance: str, points: Vectors) -> None:
    """Writes the vectors of all cards of a space, in order, as a table that `Transformer2vec` reads.

    The table of a space that does not come along has the cards as well.
    """
    columns = [
        pa.array([card.hash for card in space]),
        pa.FixedSizeListArray.from_arrays(points.ravel(), points.shape[1]).cast(SCHEMA.field("vector").type),
    ]
    schema = SCHEMA
    if space.name not in SPACE_NAMES:
        schema = OWN_SCHEMA
        columns.append(pa.array([card.to_json() for card in space]))
    schema = schema.with_metadata({"space": space.name, "distance": distance})
    write_parquet(path, pa.table(columns, schema=schema))


def _own_space(name: str, table: pa.Table) -> DesignSpace:
    return DesignSpace.from_cards(name, [ModelCard.from_json(text) for text in table["card"].to_pylist()])
