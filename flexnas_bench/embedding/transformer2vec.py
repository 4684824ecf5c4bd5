"""Transformer2vec: vectors whose Euclidean distances follow a distance between cards (section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.alignment import alignment_distances
from flexnas_bench.distance.blocks import numbering
from flexnas_bench.distance.kept import check_size, space_distances
from flexnas_bench.distance.outline import node_distances
from flexnas_bench.distance.pairs import Matrix
from flexnas_bench.embedding.base import Embedding, Vectors
from flexnas_bench.errors import InvalidCardError, InvalidSpaceError, NotInSpaceError, TableCorruptError
from flexnas_bench.processes import Progress
from flexnas_bench.space import SPACE_NAMES, Choices, DesignSpace, load_space
from flexnas_bench.storage import read_parquet, write_parquet

SCHEMA = pa.schema(
    [pa.field("hash", pa.string(), nullable=False), pa.field("vector", pa.list_(pa.float32()), nullable=False)]
)
OWN_SCHEMA = SCHEMA.append(pa.field("card", pa.string(), nullable=False))
_LANDMARKS = 1_000


@dataclass(frozen=True)
class Distance:
    """A distance that vectors can follow.

    Attributes:
        prefix: of the names of its embeddings.
        what: it in words.
        all_pairs: bounds for all pairs of a space, from the space, seconds for a problem, jobs and progress.
        to_landmarks: distances of cards to landmarks, `(cards, landmarks)`, or the part of them that is quick to have.
    """

    prefix: str
    what: str
    all_pairs: Callable[[DesignSpace, float, int | None, Progress | None], tuple[Matrix, Matrix]]
    to_landmarks: Callable[[Sequence[ModelCard], Sequence[ModelCard], Choices], NDArray[np.float32]]


def _all_ged(space: DesignSpace, seconds: float, jobs: int | None, progress: Progress | None) -> tuple[Matrix, Matrix]:
    return space_distances(space, seconds=seconds, jobs=jobs, progress=progress)


def _all_alignments(
    space: DesignSpace, seconds: float, jobs: int | None, progress: Progress | None
) -> tuple[Matrix, Matrix]:
    del seconds  # it is always exact
    check_size(space)
    cards = list(space)
    found = alignment_distances(cards, cards, choices=numbering(space.choices), jobs=jobs, progress=progress)
    return found, found


DISTANCES = {
    "ged": Distance(
        "t2v", "graph edit distance", _all_ged, lambda a, b, choices: node_distances(a, b, choices=choices)
    ),
    "alignment": Distance(
        "t2v-ordered",
        "cost of the alignment of layers",
        _all_alignments,
        lambda a, b, choices: alignment_distances(a, b, choices=choices, jobs=1),
    ),
}


class Transformer2vec(Embedding):
    """Vectors learned for the cards of one space, and those of other cards by their distances to landmarks.

    A card of the space that the vectors were learned for has the vector of the table. Any other gets the one whose
    distances to 1,000 cards of that space follow the given distances best (`scaling.place`). For the graph edit
    distance its node part, and what it lacks on average, have to do; the node part does not see the order of layers,
    so that cards outside that differ in nothing else have the same vector.

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
        metadata = (table.schema.metadata or {}).items()
        about = {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata}
        shipped, distance = about.get("space") in SPACE_NAMES, about.get("distance", "")
        fits = table.schema.equals(SCHEMA if shipped else OWN_SCHEMA) and distance in DISTANCES
        if not fits or not re.fullmatch(r"-?\d{1,9}\.\d{4}", about.get("lacking", "")):
            raise TableCorruptError(f"{path} is no table of vectors")
        self._lacking = np.float32(about["lacking"])
        self._to_landmarks = DISTANCES[distance].to_landmarks
        self._learned = load_space(about["space"]) if shipped else _own_space(path, about.get("space", ""), table)
        self._table = _vectors(path, self._learned, table)

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

            given, which = np.unique(self._given([cards[i] for i in new]), axis=0, return_inverse=True)
            found[new] = place(given, self._landmarks[1])[which]
        return found

    def _given(self, cards: Sequence[ModelCard]) -> NDArray[np.float32]:
        """Distances of cards to the landmarks."""
        return self._to_landmarks(cards, self._landmarks[0], numbering(self._learned.choices)) + self._lacking

    @cached_property
    def _landmarks(self) -> tuple[list[ModelCard], Vectors]:
        """Cards of the space learned, the same ones every time, and their vectors."""
        chosen = np.random.default_rng(0).permutation(len(self._table))[:_LANDMARKS]
        return [self._learned[int(i)] for i in chosen], self._table[chosen]


def write_vectors(path: Path, space: DesignSpace, distance: str, points: Vectors, given: Matrix) -> None:
    """Writes the vectors of all cards of a space, in order, as a table that `Transformer2vec` reads.

    The table of a space that does not come along has the cards as well.

    Args:
        path: the file.
        space: N cards.
        distance: a name of `DISTANCES`.
        points: their vectors, shape `(N, dim)`.
        given: the distances that these follow, shape `(N, N)`.
    """
    columns = [
        pa.array([card.hash for card in space]),
        pa.FixedSizeListArray.from_arrays(points.ravel(), points.shape[1]).cast(SCHEMA.field("vector").type),
    ]
    schema = SCHEMA
    if space.name not in SPACE_NAMES:
        schema = OWN_SCHEMA
        columns.append(pa.array([card.to_json() for card in space]))
    about = {"space": space.name, "distance": distance, "lacking": f"{_lacking(space, distance, given):.4f}"}
    write_parquet(path, pa.table(columns, schema=schema.with_metadata(about)))


def _lacking(space: DesignSpace, distance: str, given: Matrix) -> float:
    """By how much distances exceed those that new cards are given, on average over a sample of pairs."""
    rows = np.random.default_rng(0).permutation(space.size)[:_LANDMARKS]
    cards = [space[int(i)] for i in rows]
    quick = DISTANCES[distance].to_landmarks(cards, cards, numbering(space.choices))
    return float((given[np.ix_(rows, rows)] - quick).sum(dtype=np.float64) / max(1, len(rows) * (len(rows) - 1)))


def _own_space(path: Path, name: str, table: pa.Table) -> DesignSpace:
    try:
        return DesignSpace.from_cards(name, [ModelCard.from_json(text) for text in table["card"].to_pylist()])
    except (InvalidCardError, InvalidSpaceError) as error:
        raise TableCorruptError(f"{path} is no table of vectors: {error}") from None


def _vectors(path: Path, space: DesignSpace, table: pa.Table) -> Vectors:
    """The vectors of a table, if they are those of a space; of a large one the hashes of a few cards must do."""
    column = table["vector"].combine_chunks()
    widths = set(column.value_lengths().to_pylist())
    values: Vectors = column.flatten().to_numpy()
    if len(table) != space.size or len(widths) != 1 or not values.size or not np.isfinite(values).all():
        raise TableCorruptError(f"{path} has not one finite vector for each card of {space!r}")
    for i in {*range(0, space.size, -(-space.size // 100)), space.size - 1}:
        if table["hash"][i].as_py() != space[i].hash:
            raise TableCorruptError(f"{path}, row {i + 1}: not the card that {space!r} has there")
    return values.reshape(len(table), -1)
