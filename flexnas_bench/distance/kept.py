"""Distances of a whole space, kept in the user's cache folder."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np

from flexnas_bench.distance.blocks import EDGE_COST, block_indices, numbering
from flexnas_bench.distance.pairs import SECONDS, Matrix, ged_bounds
from flexnas_bench.errors import NotInSpaceError
from flexnas_bench.processes import Progress
from flexnas_bench.space import DesignSpace
from flexnas_bench.storage import user_cache, write_array

#: Spaces up to this size have a matrix of all distances; it takes 1.6 GB.
PAIRS_LIMIT = 20_000


def space_distances(
    space: DesignSpace,
    *,
    edge_cost: float = EDGE_COST,
    seconds: float = SECONDS,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[Matrix, Matrix]:
    """`ged_bounds` of all cards of a space in order, computed once and then read from the cache folder.

    What can be interrupted is the solving of problems, and it goes on where it was. Arrays are read-only,
    and one and the same if all is exact.

    Raises:
        NotInSpaceError: the space has more than 20,000 cards.
        BusyError: another process is solving problems.
        OptionError: an edge cost, a time or a number of jobs that makes no sense.
        WorkerDiedError: a process was killed from outside.
    """
    check_size(space)
    choices = numbering(space.choices)
    key = [1, space.digest, block_indices(choices), edge_cost, seconds]
    path = user_cache() / "ged" / f"{space.name}-{sha256(json.dumps(key).encode()).hexdigest()[:16]}.npy"
    sides = _read(path, space.size)
    if sides is None:
        bounds = ged_bounds(
            space,
            edge_cost=edge_cost,
            choices=choices,
            seconds=seconds,
            jobs=jobs,
            journal=path.with_name("solved.jsonl"),
            progress=progress,
        )
        sides = bounds[0][None] if bounds[0] is bounds[1] else np.stack(bounds)
        write_array(path, sides)
    lower: Matrix = sides[0]
    return lower, lower if len(sides) == 1 else sides[1]


def check_size(space: DesignSpace) -> None:
    """Raises `NotInSpaceError` for a space of more than 20,000 cards."""
    if space.size > PAIRS_LIMIT:
        raise NotInSpaceError(
            f"space {space.name} has {space.size:,} cards; all pairs are computed for up to {PAIRS_LIMIT:,}"
        )


def _read(path: Path, size: int) -> Matrix | None:
    """One side if all is exact, two otherwise; none where the file is missing or damaged."""
    try:
        sides = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    fits = sides.dtype == np.float32 and sides.shape in ((1, size, size), (2, size, size))
    return sides if fits else None
