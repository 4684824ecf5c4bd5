"""Graph edit distances of all pairs of many cards: exact where they can be, within bounds otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, combinations_with_replacement
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.blocks import EDGE_COST, check_edge_cost
from flexnas_bench.distance.ged import bounds_of_pair, is_node_optimal
from flexnas_bench.distance.matched import (
    Matched,
    Problem,
    SolvedJournal,
    answers,
    as_row,
    problem_of,
    read_answers,
    solve,
    table_of,
)
from flexnas_bench.distance.outline import Outline, outline
from flexnas_bench.errors import OptionError, shown
from flexnas_bench.processes import Progress, finished_tasks, in_threads
from flexnas_bench.space import Choices

SECONDS = 10.0  # for one problem that nobody has solved
_CARDS = 1_000  # in a group; a pair of groups is compared at once
_AT_ONCE = 32  # problems that a process solves before it tells the answers
Matrix = NDArray[np.float32]


def ged_bounds(
    cards: Iterable[ModelCard],
    *,
    edge_cost: float = EDGE_COST,
    choices: Choices | None = None,
    seconds: float = SECONDS,
    jobs: int | None = None,
    known: dict[Problem, int] | None = None,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Matrix, Matrix]:
    """Lower and upper bounds on the graph edit distance of all pairs of cards, equal where it is exact.

    Pairs of G1 are looked up: all of its 9,312 cards take some seconds, and 1 GB. Other pairs pose new problems, each
    an integer program of 0.04 to 2 s; with `seconds=0` none is solved, and the bounds lie up to 9 apart.

    >>> cards = [ModelCard.named(name) for name in ("bert-tiny", "bert-mini", "flexibert-mini")]
    >>> lower, upper = ged_bounds(cards, jobs=1)
    >>> [round(x, 1) for x in upper[0].tolist()], bool((lower == upper).all())
    ([0.0, 199.2, 109.2], True)

    Args:
        cards: N of them.
        edge_cost: of an edge, 0 or more.
        choices: the space whose blocks are numbered; the paper's (Table 2) if not given.
        seconds: time that may be spent on one problem.
        jobs: processes that solve, and threads that compare. If not given, there is a thread for each core, and
            problems are solved in this process; a program that gives it needs `if __name__ == "__main__":`.
        known: answers to start from, to which new ones are added; those shipped and found before if not given.
        journal: a file that keeps new answers, so that a call that was interrupted goes on.
        progress: told how far it is.

    Returns:
        Two float32 arrays of shape `(N, N)`, one and the same if all is exact.

    Raises:
        BusyError: another process holds the journal.
        NotInSpaceError: a card has a block that the choices do not have.
        OptionError: an edge cost, a time or a number of jobs that makes no sense.
        WorkerDiedError: a process was killed from outside.
    """
    check_edge_cost(edge_cost)
    if not seconds >= 0 or (jobs is not None and jobs < 1):
        raise OptionError(f"{shown(seconds)} seconds and {shown(jobs)} jobs; there must be time, and 1 job or more")
    tell = progress or (lambda *_: None)
    known = answers() if known is None else known
    outlines = [outline(card, choices or Choices()) for card in cards]
    blocks = _blocks(outlines, jobs, tell)
    optimal = [block for block in blocks if block.is_node_optimal(edge_cost)]
    others = [block for block in blocks if not block.is_node_optimal(edge_cost)]
    bounds = _solve(optimal, known, seconds, jobs, journal, tell)
    lower, upper = (np.empty((len(outlines), len(outlines)), np.float32) for _ in range(2))
    for block in optimal:
        matched = [bounds.get(p) or Matched(known[p], known[p]) for p in map(block.problem, block.tables)]
        block.write(upper, block.distances([one.lower for one in matched], edge_cost))
        if bounds or others:
            block.write(lower, block.distances([one.upper for one in matched], edge_cost))
    for block, (least, most) in zip(others, _any_map(others, edge_cost, seconds, jobs, tell), strict=True):
        block.write(lower, least)
        block.write(upper, most)
    exact = not (bounds or others) or np.array_equal(lower, upper)
    return (upper, upper) if exact else (lower, upper)


@dataclass(frozen=True, eq=False)
class _Group:
    """Cards of one shape, up to a thousand."""

    members: NDArray[np.intp]
    outlines: list[Outline]
    above: NDArray[np.int16]
    kinds: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class _Block:
    """The part of the matrix in which cards of one shape meet those of another.

    Attributes:
        a: the rows, n of them.
        b: the columns, m of them.
        nodes: node part of each distance, shape `(n, m)`.
        tables: the different tables of admissible kinds, in order.
        where: which of them each pair has, shape `(n, m)`.
    """

    a: _Group
    b: _Group
    nodes: NDArray[np.int32]
    tables: list[int]
    where: NDArray[np.uint32]

    @classmethod
    def of(cls, a: _Group, b: _Group) -> _Block:
        from flexnas_bench.distance.kernel import compare

        nodes, words = compare(a.above, a.kinds, b.above, b.kinds)
        tables, where = _different(words.reshape(nodes.size, -1))
        return cls(a, b, nodes, [table_of(row) for row in tables], where.reshape(nodes.shape).astype(np.uint32))

    @property
    def pair(self) -> tuple[Outline, Outline]:
        """A card of either shape, which stands for all."""
        return self.a.outlines[0], self.b.outlines[0]

    def is_node_optimal(self, edge_cost: float) -> bool:
        """Whether the distance is the node part and what the answer to a problem adds."""
        return is_node_optimal(*self.pair, edge_cost)

    def problem(self, table: int) -> Problem:
        """The problem of the pairs with such a table."""
        a, b = self.pair
        return Problem(a.shape, b.shape, table)

    def examples(self, tables: Container[int]) -> Iterator[tuple[Outline, Outline]]:
        """For each of some tables a pair of cards that has it."""
        _, first = np.unique(self.where, return_index=True)
        for table, position in zip(self.tables, first, strict=True):
            if table in tables:
                i, j = divmod(int(position), len(self.b.outlines))
                yield self.a.outlines[i], self.b.outlines[j]

    def distances(self, matched: list[int], edge_cost: float) -> NDArray[np.float64]:
        """Distances from the number of matched edges for each table, shape `(n, m)`."""
        edges = sum(one.graph.num_edges for one in self.pair)
        return self.nodes + edge_cost * (edges - 2 * np.array(matched))[self.where]

    def write(self, matrix: Matrix, values: NDArray[np.float64]) -> None:
        """Puts distances in both of their places."""
        matrix[np.ix_(self.a.members, self.b.members)] = values
        matrix[np.ix_(self.b.members, self.a.members)] = values.T


def _blocks(outlines: Sequence[Outline], jobs: int | None, tell: Progress) -> list[_Block]:
    """Compares all pairs, in threads."""
    members = defaultdict(list)
    for i, one in enumerate(outlines):
        members[one.shape].append(i)
    groups = []
    parts = (m[i : i + _CARDS] for _, m in sorted(members.items()) for i in range(0, len(m), _CARDS))
    for indices in parts:
        chosen = [outlines[i] for i in indices]
        above, kinds = (np.stack([getattr(one, name) for one in chosen]) for name in ("above", "kinds"))
        groups.append(_Group(np.array(indices), chosen, above, kinds))
    pairs = list(combinations_with_replacement(groups, 2))
    blocks: list[_Block] = []
    done, total = 0, sum(len(a.members) * len(b.members) for a, b in pairs)
    for block in in_threads(lambda pair: _Block.of(*pair), pairs, jobs):
        blocks.append(block)
        done += block.nodes.size
        tell("Comparing pairs", done, total)
    return blocks


def _different(rows: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """The different rows of a matrix, and which of them each row is."""
    if rows.shape[1] == 1:
        values = np.unique(rows)
        return values[:, None], np.searchsorted(values, rows[:, 0])
    number = np.zeros(len(rows), np.int64)
    for column in rows.T:  # of at most as many values as there are rows, so that the product of two counts fits
        values, which = np.unique(column, return_inverse=True)
        _, number = np.unique(number * len(values) + which, return_inverse=True)
    _, first = np.unique(number, return_index=True)
    return rows[first], number


def _solve(
    blocks: Sequence[_Block],
    known: dict[Problem, int],
    seconds: float,
    jobs: int | None,
    journal: Path | None,
    tell: Progress,
) -> dict[Problem, Matched]:
    """Bounds for the problems without an answer, in processes; answers found are added to those known."""
    if all(problem in known for block in blocks for problem in map(block.problem, block.tables)):
        return {}
    bounds: dict[Problem, Matched] = {}
    with nullcontext() if journal is None else SolvedJournal(journal) as kept:
        if kept is not None:
            known.update(read_answers(kept.records))
        tasks = [(pairs, seconds) for pairs in _unanswered(blocks, known)]
        total = sum(len(pairs) for pairs, _ in tasks)
        with finished_tasks(solve, tasks, jobs) as batches:
            for _, found in chain.from_iterable(batches):
                new = {problem: matched.lower for problem, matched in found.items() if matched.known}
                if kept is not None:
                    kept.append(*(as_row(problem, matched) for problem, matched in new.items()))
                known.update(new)
                bounds.update(found)
                tell("Solving problems", len(bounds), total)
    return bounds


def _unanswered(blocks: Sequence[_Block], known: Container[Problem]) -> Iterator[list[tuple[Outline, Outline]]]:
    """Pairs of cards that pose the problems without an answer, one each, some of the same shapes at a time."""
    seen: set[Problem] = set()
    for block in blocks:
        tables = {t for t in block.tables if block.problem(t) not in known and block.problem(t) not in seen}
        if tables:
            seen.update(map(block.problem, tables))
            pairs = sorted(block.examples(tables), key=lambda pair: -problem_of(*pair)[1].admissible.bit_count())
            yield from (pairs[i : i + _AT_ONCE] for i in range(0, len(pairs), _AT_ONCE))


def _any_map(
    blocks: Sequence[_Block], edge_cost: float, seconds: float, jobs: int | None, tell: Progress
) -> list[NDArray[np.float64]]:
    """Bounds for the pairs of blocks where the cheapest nodes may not be the cheapest path, each `(2, n, m)`."""
    results: dict[int, NDArray[np.float64]] = {}
    tasks = [(block.a.outlines, block.b.outlines, edge_cost, seconds) for block in blocks]
    with finished_tasks(_any_map_of_block, tasks, jobs) as batches:
        for number, found in chain.from_iterable(batches):
            results[number] = found
            tell("Solving blocks of pairs", len(results), len(blocks))
    return [results[number] for number in range(len(blocks))]


def _any_map_of_block(
    rows: Sequence[Outline], columns: Sequence[Outline], edge_cost: float, seconds: float
) -> NDArray[np.float64]:
    bounds = [[bounds_of_pair(a, b, edge_cost, seconds) for b in columns] for a in rows]
    return np.moveaxis(np.array(bounds), 2, 0)
