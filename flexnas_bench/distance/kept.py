"""Distances of a whole space, kept in the user's cache folder."""

from __future__ import annotations

import json
from hashlib import file_digest, sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np

from flexnas_bench.distance.blocks import EDGE_COST, block_indices, numbering
from flexnas_bench.distance.matched import SHIPPED
from flexnas_bench.distance.pairs import SECONDS, Matrix, ged_bounds
from flexnas_bench.errors import NotInSpaceError
from flexnas_bench.processes import Progress
from flexnas_bench.space import DesignSpace
from flexnas_bench.storage import shipped_digest, user_cache, write_array, write_bytes

#: Spaces up to this size have a matrix of all distances; for so many cards it takes 1.6 GB, and making it 5 GB.
PAIRS_LIMIT = 20_000


def space_distances(
    space: DesignSpace,
    *,
    edge_cost: float = EDGE_COST,
    seconds: float = SECONDS,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[Matrix, Matrix]:
    """`ged_bounds` of all cards of a space in order, exact ones computed once and then read from the cache folder.

    What takes long is the solving of problems; where it was interrupted, or ran out of time, the next call goes on.
    Arrays may be read-only.

    Raises:
        NotInSpaceError: the space has more than 20,000 cards.
        BusyError: another process is solving problems.
        OptionError: an edge cost, a time or a number of jobs that makes no sense.
        WorkerDiedError: a process was killed from outside.
    """
    check_size(space)
    choices = numbering(space.choices)
    key = [version("flexnas-bench"), shipped_digest(SHIPPED), space.digest, block_indices(choices), edge_cost]
    path = user_cache() / "ged" / f"{space.name}-{sha256(json.dumps(key).encode()).hexdigest()[:16]}.npy"
    journal = path.with_suffix(".jsonl")
    exact = _read(path, space.size)
    if exact is not None:
        return exact, exact
    lower, upper = ged_bounds(
        space,
        edge_cost=edge_cost,
        choices=choices,
        seconds=seconds,
        jobs=jobs,
        journal=journal,
        progress=progress,
    )
    if lower is upper:
        write_array(path, upper)
        write_bytes(_checksum(path), _digest(path).encode())
        journal.unlink(missing_ok=True)
    return lower, upper


def check_size(space: DesignSpace) -> None:
    """Raises `NotInSpaceError` for a space of more than 20,000 cards."""
    if space.size > PAIRS_LIMIT:
        raise NotInSpaceError(
            f"space {space.name} has {space.size:,} cards; all pairs are computed for up to {PAIRS_LIMIT:,}"
        )


def _read(path: Path, size: int) -> Matrix | None:
    """The matrix; none where the file is missing, damaged, or not what was written."""
    try:
        written = _checksum(path).read_bytes() == _digest(path).encode()
        matrix = np.lib.format.open_memmap(path, mode="r") if written else None
    except (OSError, ValueError):
        return None
    return matrix if matrix is not None and matrix.shape == (size, size) else None


def _checksum(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
