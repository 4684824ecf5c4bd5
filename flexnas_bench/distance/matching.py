"""The cheapest map between two graphs, as an integer program over groups of twins."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flexnas_bench.distance.blocks import GroupGraph

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint

Pair = tuple[int, int]


@dataclass(frozen=True)
class Solution:
    """Bounds on the cost of the cheapest map, and the best map that was found.

    Attributes:
        solved: whether that map is the cheapest, up to the gap allowed.
        lower: no map costs less.
        upper: what the map found costs; infinite if none was.
        used: the pairs of groups that this map uses.
    """

    solved: bool
    lower: float
    upper: float
    used: frozenset[Pair]


class _Constraints:
    """Rows of a sparse matrix, collected one by one."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._columns: list[int] = []
        self._values: list[float] = []
        self._upper: list[float] = []
        self._lower: list[float] = []

    def add(self, terms: Iterable[tuple[int, float]], lower: float, upper: float) -> None:
        """One row: a sum of `value * x[column]` within bounds."""
        for column, value in terms:
            self._rows.append(len(self._lower))
            self._columns.append(column)
            self._values.append(value)
        self._lower.append(lower)
        self._upper.append(upper)

    def build(self, columns: int) -> LinearConstraint:
        """The constraint on a vector of so many variables."""
        from scipy.optimize import LinearConstraint
        from scipy.sparse import coo_array

        shape = (len(self._lower), columns)
        matrix = coo_array((self._values, (self._rows, self._columns)), shape=shape).tocsr()
        return LinearConstraint(matrix, self._lower, self._upper)


def cheapest_map(
    a: GroupGraph, b: GroupGraph, allowed: Mapping[Pair, float], edge_value: float, seconds: float, gap: float = 0.0
) -> Solution:
    """The least cost of a map between two graphs, less what matched edges are worth.

    Variables: `x[p, r]`, how many nodes of group p go to group r, and for an edge (p, q) of one graph and (r, s) of
    the other how many of their edges are matched: x[p, r] x[q, s], which is linear because one of p, q and one of
    r, s has size 1, so that one of the two factors is 0 or 1.

    Args:
        a: one graph; group `len(a.sizes)` stands for missing nodes, with which the smaller graph is filled up.
        b: the other; likewise.
        allowed: cost of a node of one group going to another, for the pairs that are allowed.
        edge_value: what a matched edge is worth.
        seconds: time after which bounds are returned instead.
        gap: the relative difference of the bounds at which they count as equal.
    """
    from scipy.optimize import Bounds, milp  # half a second, which everything but a program can do without

    n = max(a.size, b.size)
    sizes = (*a.sizes, n - a.size), (*b.sizes, n - b.size)
    pairs = [(p, r) for p, r in allowed if sizes[0][p] and sizes[1][r]]
    column = {pair: i for i, pair in enumerate(pairs)}
    most = [min(sizes[0][p], sizes[1][r]) for p, r in pairs]
    constraints = _Constraints()
    for side in (0, 1):
        for group, size in enumerate(sizes[side]):
            constraints.add(((column[pair], 1.0) for pair in pairs if pair[side] == group), size, size)
    matches = [((p, r), (q, s)) for p, q in a.edges for r, s in b.edges if (p, r) in column and (q, s) in column]
    for (end, _, size), together in _bundles(matches, sizes).items():
        constraints.add([*((len(pairs) + i, 1.0) for i in together), (column[end], -float(size))], -math.inf, 0.0)
    ceilings = [most[column[first]] * most[column[second]] for first, second in matches]
    result = milp(
        np.array([allowed[pair] for pair in pairs] + [-edge_value] * len(matches)),
        integrality=np.array([1] * len(pairs) + [0] * len(matches)),
        bounds=Bounds(0, np.array(most + ceilings)),
        constraints=constraints.build(len(pairs) + len(matches)),
        options={"time_limit": seconds, "mip_rel_gap": gap},
    )
    lower = -math.inf if result.mip_dual_bound is None else float(result.mip_dual_bound)
    if result.x is None:
        return Solution(False, lower, math.inf, frozenset())
    used = frozenset(pair for pair, count in zip(pairs, result.x, strict=False) if count > 0.5)
    return Solution(result.status == 0, lower, float(result.fun), used)


def _bundles(
    matches: list[tuple[Pair, Pair]], sizes: tuple[tuple[int, ...], tuple[int, ...]]
) -> dict[tuple[Pair, tuple[int, int], int], list[int]]:
    """Matches that share a pair (p, r) and a neighbour of p, or of r.

    For each node that goes from p to r, together they are at most as many as that neighbour has nodes: a tighter
    relaxation than bounding them one by one (as Adams and Johnson 1994 do for the quadratic assignment problem).
    """
    bundles = defaultdict(list)
    for i, (first, second) in enumerate(matches):
        for end, other in ((first, second), (second, first)):
            for side in (0, 1):
                direction = 2 * side + (end is first)
                bundles[end, (direction, other[side]), sizes[side][other[side]]].append(i)
    return bundles
