"""Exact graph edit distance between encoders (section 3.3.1); `docs/ged.md` has the proof."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.blocks import GroupGraph
from flexnas_bench.distance.matching import Pair, Solution, cheapest_map
from flexnas_bench.errors import GedNotExact, OptionError, shown
from flexnas_bench.space import Choices

EDGE_COST = 0.1
SECONDS = 60.0


def ged(
    a: ModelCard,
    b: ModelCard,
    *,
    edge_cost: float = EDGE_COST,
    choices: Choices | None = None,
    seconds: float = SECONDS,
) -> float:
    """Graph edit distance between two cards, exact.

    Inserting or deleting a block costs its index, substituting one the difference of indices (`block_indices`),
    inserting or deleting an edge `edge_cost`.

    >>> ged(ModelCard.named("bert-tiny"), ModelCard.named("flexibert-mini"))
    109.2

    Args:
        a: a card.
        b: another.
        edge_cost: of an edge, 0 or more.
        choices: the space whose blocks are numbered; the paper's (Table 2) if not given.
        seconds: time that may be spent on one pair.

    Raises:
        GedNotExact: the time did not suffice; the text gives the bounds that were reached.
        NotInSpaceError: a card has a block that the choices do not have.
        OptionError: an edge cost or a time that makes no sense.
    """
    check_edge_cost(edge_cost)
    if not seconds > 0:
        raise OptionError(f"seconds: {shown(seconds)} is no time")
    graphs = [GroupGraph.of(card.layers, choices or Choices()) for card in (a, b)]
    if graphs[0] == graphs[1]:
        return 0.0
    solve = _node_optimal if is_node_optimal(a, b, edge_cost) else _any_map
    solution = solve(graphs[0], graphs[1], edge_cost, seconds)
    edges = edge_cost * (graphs[0].num_edges + graphs[1].num_edges)
    if solution.upper - solution.lower > 1e-6:
        raise GedNotExact(
            f"after {seconds:g} s the distance is known to lie in {max(0.0, solution.lower + edges):.1f} to "
            f"{solution.upper + edges:.1f}; give more seconds"
        )
    return round(solution.upper + edges, 9)


def check_edge_cost(edge_cost: float) -> None:
    """Raises `OptionError` for what no edge can cost."""
    if not 0 <= edge_cost < math.inf:
        raise OptionError(f"edge_cost: {shown(edge_cost)} is not a number, 0 or more")


def is_node_optimal(a: ModelCard, b: ModelCard, edge_cost: float) -> bool:
    """Whether a cheapest edit path is sure to be among those with the cheapest node part (`docs/ged.md`)."""
    return edge_cost * (max(a.layers[0].heads, b.layers[0].heads) + 3) <= 1 + 1e-9


def node_distance(a: GroupGraph, b: GroupGraph) -> int:
    """The node part of the distance: the L1 distance of the sorted indices, filled up with zeros."""
    x, y = _filled(a, b)
    return int(np.abs(x - y).sum())


def _filled(a: GroupGraph, b: GroupGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sorted indices of both graphs, the smaller one filled up with zeros; shapes `(n,)`."""
    n = max(a.size, b.size)
    x, y = (np.sort(np.r_[np.repeat(g.indices, g.sizes), np.zeros(n - g.size, dtype=np.int64)]) for g in (a, b))
    return x, y


def _node_optimal(a: GroupGraph, b: GroupGraph, edge_cost: float, seconds: float) -> Solution:
    """The cheapest of the maps that have the cheapest node part: the perfect matchings over admissible pairs."""
    x, y = _filled(a, b)
    above = np.array([(x > t).sum() - (y > t).sum() for t in range(max(x[-1], y[-1]) + 1)])

    def admissible(i: int, j: int) -> bool:
        return i == j or bool((above[j:i] > 0).all() if i > j else (above[i:j] < 0).all())

    pairs = ((p, r) for p in range(len(a.sizes) + 1) for r in range(len(b.sizes) + 1))
    index_a, index_b = (*a.indices, 0), (*b.indices, 0)
    allowed = {(p, r): 0.0 for p, r in pairs if admissible(index_a[p], index_b[r])}
    found = cheapest_map(a, b, (len(x) - a.size, len(x) - b.size), allowed, 2 * edge_cost, seconds)
    nodes = float(np.abs(x - y).sum())
    return Solution(nodes + found.lower, nodes + found.upper)


def _any_map(a: GroupGraph, b: GroupGraph, edge_cost: float, seconds: float) -> Solution:
    """The cheapest of all maps."""
    index_a, index_b = (*a.indices, 0), (*b.indices, 0)
    allowed: dict[Pair, float] = {
        (p, r): float(abs(i - j)) for p, i in enumerate(index_a) for r, j in enumerate(index_b)
    }
    n = max(a.size, b.size)
    return cheapest_map(a, b, (n - a.size, n - b.size), allowed, 2 * edge_cost, seconds)
