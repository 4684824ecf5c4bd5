"""All pairs at once against one pair at a time, and tables against programs."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexnas_bench import EncoderLayer, ModelCard, NotInSpaceError, OptionError, TableCorruptError, ged, load_space
from flexnas_bench.distance import kept, pairs
from flexnas_bench.distance.kept import space_distances
from flexnas_bench.distance.matched import Problem, answers, problem_of, solve, solve_one
from flexnas_bench.distance.outline import node_distances, outline
from flexnas_bench.distance.pairs import ged_bounds
from flexnas_bench.graph import BlockGraph
from flexnas_bench.space import Choices

PAPER = Choices()
SHALLOW = load_space("g1").where("shallow", lambda card: card.num_layers == 2)


def no_programs(monkeypatch):
    """From here on nothing may be solved."""

    def refuse(*_):
        raise AssertionError("a program was to be solved")

    monkeypatch.setattr(pairs, "solve", refuse)
    monkeypatch.setattr("flexnas_bench.distance.ged.solve_one", refuse)


def test_cards_of_g1_are_looked_up(monkeypatch):
    no_programs(monkeypatch)
    cards = [*load_space("g1").sample(60, seed=2), ModelCard.named("bert-tiny"), ModelCard.named("bert-tiny")]
    lower, upper = ged_bounds(cards)
    assert lower is upper
    assert lower.dtype == np.float32
    np.testing.assert_array_equal(lower, lower.T)
    np.testing.assert_allclose(lower, [[ged(a, b) for b in cards] for a in cards], rtol=1e-6)
    assert (lower == 0).sum() == len(cards) + 2


def test_other_cards_are_solved():
    cards = [*load_space("g3").sample(4, seed=4), *load_space("pool").sample(3, seed=4), SHALLOW[3]]
    lower, upper = ged_bounds(cards, jobs=2)
    assert lower is upper
    np.testing.assert_allclose(upper, [[ged(a, b) for b in cards] for a in cards], rtol=1e-6)


def test_without_time_there_are_bounds():
    cards = load_space("g3").sample(12, seed=5)
    lower, upper = ged_bounds(cards, seconds=0, jobs=1)
    nodes = node_distances(cards, cards)
    assert (lower < upper).any()
    assert not np.diag(upper).any()
    assert (nodes <= lower + 1e-4).all()
    for i, j in ((0, 1), (2, 9), (5, 11)):
        assert lower[i, j] - 1e-4 <= ged(cards[i], cards[j]) <= upper[i, j] + 1e-4


def test_edges_of_another_cost_need_no_other_table(monkeypatch):
    no_programs(monkeypatch)
    a, b = load_space("g1").sample(2, seed=7)
    distances = [ged_bounds([a, b], edge_cost=cost)[0][0, 1] for cost in (0.0, 0.05, 0.14)]
    assert distances[0] == node_distances([a], [b])[0, 0]
    assert distances[1] - distances[0] == pytest.approx((distances[2] - distances[0]) * 0.05 / 0.14, abs=1e-4)


@pytest.mark.parametrize("edge_cost", [0.1, 2.0])
def test_where_the_claim_fails_all_maps_are_looked_at(edge_cost):
    wide = [
        ModelCard((EncoderLayer(*operation, 128, heads, (512,)),))
        for operation, heads in product((("SA", "SDP"), ("LT", "DFT")), (2, 8))
    ]
    lower, upper = ged_bounds(wide, edge_cost=edge_cost, jobs=2)
    np.testing.assert_allclose(lower, upper)
    np.testing.assert_allclose(upper, [[ged(a, b, edge_cost=edge_cost) for b in wide] for a in wide], rtol=1e-6)


def admissible_by_definition(a, b):
    """Pairs of labels that a node-optimal map may use, from sorted labels and not from counts."""
    labels = [[0] * 99 + [int(i) for i, n in zip(one.graph.indices, one.graph.sizes, strict=True) for _ in range(n)]
              for one in (a, b)]  # fmt: skip
    x, y = (np.sort(side)[-99:] for side in labels)
    crossing = {t: np.sign(((x > t) & (y <= t)).sum() - ((y > t) & (x <= t)).sum()) for t in range(20)}
    return {
        (i, j)
        for i, j in product(range(21), repeat=2)
        if all(crossing[t] == (1 if i > j else -1) for t in range(min(i, j), max(i, j)))
    }


@settings(max_examples=40)
@given(st.sampled_from(["g1", "g2", "g3"]), st.integers(0, 10_000))
def test_problems_are_what_the_definition_says(space, seed):
    a, b = (outline(card, PAPER) for card in load_space(space).sample(2, seed=seed))
    nodes, problem = problem_of(a, b)
    labels = [sorted(np.repeat(one.graph.indices, one.graph.sizes)) for one in (a, b)]
    n = max(map(len, labels))
    x, y = (np.array([0] * (n - len(side)) + side) for side in labels)
    assert nodes == np.abs(x - y).sum()
    allowed = admissible_by_definition(a, b)
    bits = [problem.admissible >> bit & 1 for bit in range(len(a.kinds) * len(b.kinds))]
    assert bits == [(i, j) in allowed for i, j in product(a.kinds.tolist(), b.kinds.tolist())]


@settings(max_examples=40)
@given(st.sampled_from(["g1", "g2", "g3", "pool"]), st.integers(0, 10_000))
def test_outlines_are_graphs(space, seed):
    (card,) = load_space(space).sample(1, seed=seed)
    found, graph = outline(card, PAPER), BlockGraph.of(card.layers)
    assert found.graph.size == len(graph.labels)
    assert [found.kinds[kind] for kind in found.groups[:-1]] == list(found.graph.indices)
    assert found.above[0] == sum(index > 0 for index in np.repeat(found.graph.indices, found.graph.sizes))


def test_g1_has_few_problems_and_all_are_shipped():
    assert len(answers()) >= 7_374
    shapes = {outline(card, PAPER).shape for card in load_space("g1")}
    assert len(shapes) == 20
    assert {shape for problem in list(answers())[:7_374] for shape in problem[:2]} == shapes


@pytest.mark.parametrize("seed", range(12))
def test_shipped_answers_are_those_of_the_program(seed):
    a, b = sorted((outline(card, PAPER) for card in load_space("g1").sample(2, seed=seed)), key=lambda one: one.shape)
    _, problem = problem_of(a, b)
    assert solve_one(a, b, problem.admissible, 60).lower == answers()[problem]


def test_closing_problems_changes_no_answer():
    a, b = (outline(card, PAPER) for card in (SHALLOW[0], ModelCard.named("flexibert-mini")))
    group = [p for p in answers() if p[:2] == tuple(sorted((a.shape, b.shape)))]
    assert len(group) > 10
    a, b = sorted((a, b), key=lambda one: one.shape)
    found = solve(a, b, [problem.admissible for problem in group], 60)
    assert {Problem(*problem): found[problem.admissible].lower for problem in group} == {p: answers()[p] for p in group}


def test_an_interrupted_call_goes_on(tmp_path, monkeypatch):
    journal, cards = tmp_path / "solved.jsonl", load_space("g2").sample(4, seed=11)
    known = {}
    expected, _ = ged_bounds(cards, known=known, journal=journal, jobs=1)
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == len(known)
    journal.write_text("".join(lines[:2]) + lines[2][:20])  # killed in the middle of a line
    again = {}
    np.testing.assert_array_equal(ged_bounds(cards, known=again, journal=journal, jobs=1)[0], expected)
    assert again == known
    no_programs(monkeypatch)
    np.testing.assert_array_equal(ged_bounds(cards, known={}, journal=journal, jobs=1)[0], expected)
    journal.write_text(json.dumps({"shape_a": "2x2:0", "shape_b": 3, "admissible": "1", "matched": 1}) + "\n")
    with pytest.raises(TableCorruptError, match="line 1"):
        ged_bounds(cards, known={}, journal=journal, jobs=1)


def test_a_space_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path))
    lower, upper = space_distances(SHALLOW)
    assert lower is upper
    (file,) = tmp_path.glob("ged/shallow-*.npy")
    monkeypatch.setattr(kept, "ged_bounds", None)
    again, _ = space_distances(SHALLOW)
    np.testing.assert_array_equal(again, lower)
    monkeypatch.undo()
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path))
    file.write_bytes(file.read_bytes()[:1000])  # damaged, so computed again
    np.testing.assert_array_equal(space_distances(SHALLOW)[0], lower)
    with pytest.raises(NotInSpaceError, match="20,000"):
        space_distances(load_space("g2"))


@pytest.mark.parametrize("wrong", [{"edge_cost": -1}, {"seconds": -1}, {"seconds": float("nan")}, {"jobs": 0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(OptionError):
        ged_bounds([SHALLOW[0]], **wrong)


def test_no_cards_have_no_distances():
    assert ged_bounds([])[0].shape == (0, 0)
    with pytest.raises(NotInSpaceError):
        ged_bounds([ModelCard.named("flexibert-large")])
