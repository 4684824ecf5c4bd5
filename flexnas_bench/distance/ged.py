"""Exact graph edit distance between encoders (section 3.3.1); `docs/ged.md` has the proof."""

from __future__ import annotations

from itertools import product

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.blocks import EDGE_COST, check_edge_cost
from flexnas_bench.distance.matched import answers, matched_in_order, problem_of, solve_one
from flexnas_bench.distance.matching import cheapest_map
from flexnas_bench.distance.outline import Outline, outline
from flexnas_bench.errors import GedNotExact, OptionError, shown
from flexnas_bench.space import Choices

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
    inserting or deleting an edge `edge_cost`. Pairs of G1 are looked up; others take an integer program.

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
    space = choices or Choices()
    lower, upper = bounds_of_pair(outline(a, space), outline(b, space), edge_cost, seconds)
    if upper - lower > 1e-6:
        raise GedNotExact(
            f"after {seconds:g} s the distance is known to lie in {lower:.1f} to {upper:.1f}; give more seconds"
        )
    return upper


def is_node_optimal(a: Outline, b: Outline, edge_cost: float) -> bool:
    """Whether a cheapest edit path is sure to be among those with the cheapest node part (`docs/ged.md`)."""
    return edge_cost * (max(a.first_heads, b.first_heads) + 3) <= 1 + 1e-9


def bounds_of_pair(a: Outline, b: Outline, edge_cost: float, seconds: float) -> tuple[float, float]:
    """Bounds on the distance of two cards, equal if it could be found within the time."""
    if b.shape < a.shape:  # answers are kept in one order of shapes
        a, b = b, a
    if not is_node_optimal(a, b, edge_cost):
        return bounds_of_any_map(a, b, edge_cost, seconds)
    nodes, problem = problem_of(a, b)
    edges = a.graph.num_edges + b.graph.num_edges
    matched = answers().get(problem)
    if matched is None:
        lower, upper, _ = solve_one(a, b, seconds)
        if lower < upper:
            return round(nodes + edge_cost * (edges - 2 * upper), 9), round(nodes + edge_cost * (edges - 2 * lower), 9)
        matched = answers()[problem] = lower
    distance = round(nodes + edge_cost * (edges - 2 * matched), 9)
    return distance, distance


def bounds_of_any_map(a: Outline, b: Outline, edge_cost: float, seconds: float) -> tuple[float, float]:
    """Bounds by the program over all maps, where the cheapest nodes need not belong to the cheapest path."""
    first, second = a.graph, b.graph
    if first == second:
        return 0.0, 0.0
    edges = first.num_edges + second.num_edges
    nodes = int(np.abs(a.above - b.above).sum())
    lower = nodes + edge_cost * abs(first.num_edges - second.num_edges)
    upper = nodes + edge_cost * (edges - 2 * matched_in_order(first, second))
    if seconds:
        pairs = product(enumerate((*first.indices, 0)), enumerate((*second.indices, 0)))
        allowed = {(p, r): float(abs(i - j)) for (p, i), (r, j) in pairs}
        found = cheapest_map(first, second, allowed, 2 * edge_cost, seconds)
        upper = min(upper, found.upper + edge_cost * edges)
        lower = upper if found.solved else max(lower, found.lower + edge_cost * edges)
    return round(lower, 9), round(upper, 9)
