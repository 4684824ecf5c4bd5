"""All pairs at once against one pair at a time, and tables against programs."""

import json
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexnas_bench import EncoderLayer, ModelCard, NotInSpaceError, OptionError, TableCorruptError, ged, load_space
from flexnas_bench.distance import kept, pairs
from flexnas_bench.distance.kept import space_distances
from flexnas_bench.distance.matched import SHIPPED, answers, problem_of, read_answers, solve, solve_one
from flexnas_bench.distance.outline import node_distances, outline
from flexnas_bench.distance.pairs import ged_bounds
from flexnas_bench.graph import BlockGraph
from flexnas_bench.space import Choices
from flexnas_bench.storage import read_shipped

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
    cards = [*load_space("g3").sample(3, seed=4), *load_space("pool").sample(2, seed=4), SHALLOW[3]]
    lower, upper = ged_bounds(cards, jobs=2)
    assert lower is upper
    np.testing.assert_allclose(upper, [[ged(a, b) for b in cards] for a in cards], rtol=1e-6)


def alike_cards():
    """Cards of G2 whose shapes are the same, so that every card could stand for every other."""
    layers = [
        layer for layer in load_space("g2").choices.layer_choices if (layer.heads, layer.feed_forward) == (2, (512,))
    ]
    return [ModelCard(pair) for pair in product(layers, repeat=2) if pair[0] != pair[1]][::2]


@pytest.mark.parametrize("space", ["g1", "alike"])
def test_without_time_there_are_bounds(space):
    """Every distance lies within its bounds, and nothing that was not proven is remembered."""
    cards = alike_cards()[:25] if space == "alike" else load_space("g1").sample(60, seed=5)
    known = {}
    lower, upper = ged_bounds(cards, seconds=0, known=known, jobs=1)
    exact, _ = ged_bounds(cards)
    assert (lower <= exact).all()
    assert (exact <= upper).all()
    assert (lower < upper).any()
    assert (node_distances(cards, cards) <= lower + 1e-4).all()
    assert known.items() <= answers().items()


def test_too_little_time_gives_bounds_too():
    cards = load_space("g3").sample(4, seed=5)
    lower, upper = ged_bounds(cards, seconds=1e-4, known={})
    exact, _ = ged_bounds(cards)
    assert (lower <= exact).all()
    assert (exact <= upper).all()
    assert lower is not upper


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
    assert lower is upper
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
    indices = np.repeat(found.graph.indices, found.graph.sizes)
    assert found.above.tolist() == [(indices > t).sum() for t in range(20)]


def problems_of(cards):
    """Every problem that a pair of cards poses, with a pair that does."""
    found = {}
    for block in pairs._blocks([outline(card, PAPER) for card in cards], None, lambda *_: None):
        found |= {problem_of(*pair)[1]: pair for pair in block.examples(set(block.tables))}
    return found


@cache
def problems_of_g1():
    return problems_of(load_space("g1"))


def test_the_shipped_table_has_the_problems_of_cards_of_g1():
    problems = problems_of(load_space("g1").sample(1_000, seed=1))
    shipped = dict(read_answers(read_shipped(SHIPPED).to_pylist()))
    assert len(shipped) == 7_374
    assert len({shape for problem in shipped for shape in problem[:2]}) == 20
    assert len(problems) > 3_000
    assert problems.keys() < shipped.keys()
    for problem in list(problems)[::500]:
        assert solve_one(*problems[problem], 60).lower == answers()[problem]


@pytest.mark.slow
def test_the_shipped_table_has_every_problem_of_g1_and_no_other():
    assert dict(read_answers(read_shipped(SHIPPED).to_pylist())).keys() == problems_of_g1().keys()


@pytest.mark.slow
def test_shipped_answers_are_those_of_a_program_each():
    """One in ten, without the shortcut."""
    problems = problems_of_g1()
    for problem in list(problems)[3::10]:
        assert solve_one(*problems[problem], 60)[:2] == (answers()[problem],) * 2


@pytest.mark.slow
def test_the_shortcut_changes_no_answer(monkeypatch):
    a, b = (outline(card, PAPER) for card in (SHALLOW[0], ModelCard.named("flexibert-mini")))
    shapes = tuple(sorted((a.shape, b.shape)))
    posed = [pair for problem, pair in problems_of_g1().items() if problem[:2] == shapes]
    assert len(posed) > 10
    found = solve(posed, 60)
    monkeypatch.setattr("flexnas_bench.distance.matched._implied", lambda *_: None)
    assert {p: m[:2] for p, m in found.items()} == {p: m[:2] for p, m in solve(posed, 60).items()}


def test_an_interrupted_call_goes_on(tmp_path, monkeypatch):
    journal, cards = tmp_path / "solved.jsonl", load_space("g2").sample(3, seed=11)
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
    sound = {"shape_a": "2x2:0", "shape_b": "2x2:0", "admissible": "1f", "matched": 1}
    for wrong in ({"shape_b": 3}, {"admissible": "1g"}, {"admissible": 1}, {"matched": -1}, {"matched": "1"}):
        journal.write_text(json.dumps(sound | wrong) + "\n")
        with pytest.raises(TableCorruptError, match="line 1"):
            ged_bounds(cards, known={}, journal=journal, jobs=1)


def test_a_space_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path))
    lower, upper = space_distances(SHALLOW)
    assert lower is upper
    (file,) = tmp_path.glob("ged/shallow-*.npy")
    assert not list(tmp_path.glob("ged/*.jsonl"))
    with monkeypatch.context() as patched:
        patched.setattr(kept, "ged_bounds", None)
        np.testing.assert_array_equal(space_distances(SHALLOW)[0], lower)
    content = file.read_bytes()
    for damaged in (content[:1000], content[:5000] + b"x" + content[5001:], b"", np.full_like(lower, np.nan).tobytes()):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(space_distances(SHALLOW)[0], lower)
        assert file.read_bytes() == content  # computed again
    with pytest.raises(NotInSpaceError, match="20,000"):
        space_distances(load_space("g2"))


def test_bounds_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(pairs, "answers", dict)
    alike = load_space("g2").from_cards("alike", alike_cards()[:12])
    lower, upper = space_distances(alike, seconds=0)
    assert lower is not upper
    assert not list(tmp_path.rglob("*.npy"))
    exact, same = space_distances(alike, seconds=60)
    assert exact is same
    assert (lower <= exact).all()


@pytest.mark.parametrize(
    "wrong", [{"edge_cost": -1}, {"edge_cost": 1e20}, {"seconds": -1}, {"seconds": float("nan")}, {"jobs": 0}]
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(OptionError):
        ged_bounds([SHALLOW[0]], **wrong)


def test_no_cards_have_no_distances():
    assert ged_bounds([])[0].shape == (0, 0)
    with pytest.raises(NotInSpaceError):
        ged_bounds([ModelCard.named("flexibert-large")])
