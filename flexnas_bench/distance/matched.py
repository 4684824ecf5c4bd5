"""How many edges a node-optimal map can match: solved once for every different problem, and remembered.

Two pairs of cards pose the same problem if their shapes are the same and the same kinds of nodes may go to each other.
All pairs of G1 pose 7,374 problems; their answers are shipped.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flexnas_bench.distance.blocks import GroupGraph
from flexnas_bench.distance.matching import Pair, cheapest_map
from flexnas_bench.distance.outline import Outline
from flexnas_bench.journal import Journal
from flexnas_bench.storage import read_shipped, table_schema, write_parquet

_HEXADECIMAL = re.compile("[0-9a-f]+")
_ROUNDING = 1e-4  # of the bounds that the program reports
SHIPPED = "ged/matched_edges.parquet"
SCHEMA = table_schema(shape_a="text", shape_b="text", admissible="text", matched="int")


class Problem(NamedTuple):
    """Two shapes and a table of admissible kinds: bit `x * len(kinds of b) + y` says that kind x may go to kind y."""

    shape_a: str
    shape_b: str
    admissible: int


class Matched(NamedTuple):
    """Bounds on the largest number of matched edges, and the pairs of kinds that a map with so many edges uses.

    Attributes:
        lower: some map over admissible pairs matches so many.
        upper: none matches more.
        used: a table of the pairs of kinds that the map of `lower` uses, if it is known.
    """

    lower: int
    upper: int
    used: int | None = None

    @property
    def known(self) -> bool:
        """Whether the bounds are equal."""
        return self.lower == self.upper


class SolvedJournal(Journal):
    """Answers found by a run, so that an interrupted one goes on where it was."""

    kind = "a solved problem"

    @classmethod
    def is_record(cls, record: dict[str, Any], number: int) -> bool:  # noqa: ARG003 - answers come in any order
        """Whether this is a solved problem."""
        shapes = (record.get(name) for name in ("shape_a", "shape_b"))
        table, matched = record.get("admissible"), record.get("matched")
        known = isinstance(table, str) and _HEXADECIMAL.fullmatch(table) and type(matched) is int and matched > 0
        return bool(known) and all(isinstance(shape, str) for shape in shapes)


def problem_of(a: Outline, b: Outline) -> tuple[int, Problem]:
    """The node part of the distance of two cards, and the problem that is left."""
    from flexnas_bench.distance.kernel import compare

    nodes, words = compare(a.above[None], a.kinds[None], b.above[None], b.kinds[None])
    return int(nodes[0, 0]), Problem(a.shape, b.shape, table_of(words[0, 0]))


def table_of(words: NDArray[np.uint64]) -> int:
    """A table of admissible kinds from its words, the lowest first."""
    return int.from_bytes(words.astype("<u8").tobytes(), "little")


@cache
def answers() -> dict[Problem, int]:
    """The answers that this process knows: the shipped ones at first."""
    return dict(read_answers(read_shipped(SHIPPED, SCHEMA).to_pylist()))


def read_answers(rows: Iterable[dict[str, Any]]) -> Iterator[tuple[Problem, int]]:
    """Problems and answers from rows of a table or a journal."""
    for row in rows:
        yield Problem(row["shape_a"], row["shape_b"], int(row["admissible"], 16)), row["matched"]


def write_answers(path: Path, known: Mapping[Problem, int]) -> None:
    """Writes answers as a table, sorted."""
    write_parquet(path, pa.Table.from_pylist([as_row(*answer) for answer in sorted(known.items())], schema=SCHEMA))


def as_row(problem: Problem, matched: int) -> dict[str, Any]:
    """The row of a problem and its answer."""
    return {**problem._asdict(), "admissible": f"{problem.admissible:x}", "matched": matched}


def solve(pairs: Iterable[tuple[Outline, Outline]], seconds: float) -> dict[Problem, Matched]:
    """Bounds for the problems of some pairs of cards, whose shapes are the same two.

    Large tables come first. If the best map for a table uses only what a part of the table still admits, it is the
    best for that part too, which closes most problems without a program.

    Args:
        pairs: one for each problem.
        seconds: time that may be spent on each; 0 gives what can be had without a program.
    """
    problems = {problem_of(a, b)[1]: (a, b) for a, b in pairs}
    found: dict[Problem, Matched] = {}
    for problem in sorted(problems, key=lambda one: (-one.admissible.bit_count(), one.admissible)):
        found[problem] = _implied(problem.admissible, found) or solve_one(*problems[problem], seconds)
    return found


def _implied(table: int, found: Mapping[Problem, Matched]) -> Matched | None:
    """An answer for a larger table whose best map this one still admits."""
    for problem, matched in found.items():
        wider = not table & ~problem.admissible
        if matched.known and matched.used is not None and wider and not matched.used & ~table:
            return matched
    return None


def solve_one(a: Outline, b: Outline, seconds: float) -> Matched:
    """Bounds for the problem of two cards, by an integer program if there is time."""
    most = min(a.graph.num_edges, b.graph.num_edges)
    least = matched_in_order(a.graph, b.graph)
    if not seconds or least == most:
        return Matched(least, most)
    table = problem_of(a, b)[1].admissible
    pairs = product(enumerate(a.groups), enumerate(b.groups))
    allowed = {(p, r): 0.0 for (p, x), (r, y) in pairs if table >> (x * len(b.kinds) + y) & 1}
    found = cheapest_map(a.graph, b.graph, allowed, 1.0, seconds, gap=0.9 / most)  # of bounds less than an edge apart
    if found.solved:
        return Matched(round(-found.upper), round(-found.upper), _table_in_use(a, b, found.used))
    least = least if math.isinf(found.upper) else max(least, round(-found.upper))
    return Matched(least, most if math.isinf(found.lower) else min(most, math.floor(-found.lower + _ROUNDING)))


def matched_in_order(a: GroupGraph, b: GroupGraph) -> int:
    """Edges matched by the map that follows the order of indices, which is node-optimal for these two graphs."""
    n = max(a.size, b.size)
    orders = []
    for graph in (a, b):
        groups = sorted(range(len(graph.sizes)), key=graph.indices.__getitem__)
        orders.append([-1] * (n - graph.size) + [p for p in groups for _ in range(graph.sizes[p])])
    going = Counter(zip(*orders, strict=True))
    return sum(going[p, r] * going[q, s] for p, q in a.edges for r, s in b.edges)


def _table_in_use(a: Outline, b: Outline, used: Iterable[Pair]) -> int:
    table = 0
    for p, r in used:
        table |= 1 << (a.groups[p] * len(b.kinds) + b.groups[r])
    return table
