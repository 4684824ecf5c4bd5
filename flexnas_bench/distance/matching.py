"""The largest number of edges that a map between two graphs can match, as an integer program over groups of twins."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from flexnas_bench.distance.blocks import GroupGraph

Pair = tuple[int, int]


@dataclass(frozen=True)
class Solution:
    """Bounds on the cost of the cheapest map; equal if the program was solved."""

    lower: float
    upper: float


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
        shape = (len(self._lower), columns)
        matrix = coo_array((self._values, (self._rows, self._columns)), shape=shape).tocsr()
        return LinearConstraint(matrix, self._lower, self._upper)


def cheapest_map(
    a: GroupGraph, b: GroupGraph, missing: Pair, allowed: dict[Pair, float], edge_value: float, seconds: float
) -> Solution:
    """The least cost of a map between two graphs, less what matched edges are worth.

    Variables: `x[p, r]`, how many nodes of group p go to group r, and for an edge (p, q) of one graph and (r, s) of
    the other how many of their edges are matched: x[p, r] x[q, s], which is linear because one of p, q and one of
    r, s has size 1, so that one of the two factors is 0 or 1.

    Args:
        a: one graph; group `len(a.sizes)` stands for missing nodes.
        b: the other; likewise.
        missing: how many missing nodes each graph is filled up with.
        allowed: cost of a node of one group going to another, for the pairs that are allowed.
        edge_value: what a matched edge is worth.
        seconds: time after which bounds are returned instead.
    """
    sizes_a, sizes_b = (*a.sizes, missing[0]), (*b.sizes, missing[1])
    pairs = [(p, r) for p, r in allowed if sizes_a[p] and sizes_b[r]]
    column = {pair: i for i, pair in enumerate(pairs)}
    most = [min(sizes_a[p], sizes_b[r]) for p, r in pairs]
    constraints = _Constraints()
    for side, sizes in enumerate((sizes_a, sizes_b)):
        for group, size in enumerate(sizes):
            constraints.add(((column[pair], 1.0) for pair in pairs if pair[side] == group), size, size)
    matches = [((p, r), (q, s)) for p, q in a.edges for r, s in b.edges if (p, r) in column and (q, s) in column]
    for i, ends in enumerate(matches, len(pairs)):
        for end, other in (ends, reversed(ends)):
            constraints.add([(i, 1.0), (column[end], -most[column[other]])], -math.inf, 0.0)
    ceilings = [most[column[first]] * most[column[second]] for first, second in matches]
    result = milp(
        np.array([allowed[pair] for pair in pairs] + [-edge_value] * len(matches)),
        integrality=np.array([1] * len(pairs) + [0] * len(matches)),
        bounds=Bounds(0, np.array(most + ceilings)),
        constraints=constraints.build(len(pairs) + len(matches)),
        options={"time_limit": seconds, "mip_rel_gap": 0.0},
    )
    upper = math.inf if result.x is None else float(result.fun)
    if result.status == 0:
        return Solution(upper, upper)
    return Solution(-math.inf if result.mip_dual_bound is None else float(result.mip_dual_bound), upper)
