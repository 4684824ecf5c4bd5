import math

import pytest

from flexnas_bench import OptionError, load_space, search
from flexnas_bench.searching import levels as module
from flexnas_bench.searching.journal import journal_path
from flexnas_bench.searching.levels import PARENTS, check_levels, refined

LEVELS = ("g1", "g2", "g3")


@pytest.fixture(autouse=True)
def few_children(monkeypatch):
    """Fewer cards of a level than people get; what a card takes from its parents is the same."""
    monkeypatch.setattr(module, "CHILDREN", 1_200)


@pytest.fixture(scope="module")
def told():
    return [(card, card.parameters / 1e6) for card in load_space("g1").sample(30, seed=1)]


def test_children_take_every_value_from_a_parent_at_that_depth(told):
    g1, g2 = load_space("g1"), load_space("g2")
    space = refined(g2, g1, told, seed=3, level=1)
    best = [card for card, _ in sorted(told, key=lambda one: -one[1])[:PARENTS]]
    family = [*best, *(neighbor for card in best for neighbor in g1.neighbors(card))]
    for card in space.sample(200, seed=0):
        if card in dict(told):
            continue
        assert card in g2
        for j, layer in enumerate(card.layers):
            parents = [other.layers[j] for other in family if other.num_layers > j]
            for name in ("operation", "hidden", "heads"):
                assert getattr(layer, name) in {getattr(parent, name) for parent in parents}
    assert {card for card, _ in told} <= set(space)
    assert space.size > 1_000


def test_the_same_seed_gives_the_same_space_and_another_does_not(told):
    g1, g2 = load_space("g1"), load_space("g2")
    first, again, other = (refined(g2, g1, told, seed, 1).digest for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_feed_forward_stacks_are_freed_in_g3(told):
    space = refined(load_space("g3"), load_space("g2"), told, seed=0, level=2)
    assert any(len(set(layer.feed_forward)) > 1 for card in space for layer in card.layers)
    assert space.size <= 1_200 + len(told)


def test_failed_cards_are_no_parents():
    g1, g2 = load_space("g1"), load_space("g2")
    cards = g1.sample(30, seed=2)
    told = [(card, 1.0 if i < 3 else math.nan) for i, card in enumerate(cards)]
    space = refined(g2, g1, told, seed=0, level=1)
    family = [*cards[:3], *(neighbor for card in cards[:3] for neighbor in g1.neighbors(card))]
    for card in space.sample(300, seed=1):
        for j, layer in enumerate(card.layers) if card not in set(cards) else ():
            assert layer.operation in {parent.layers[j].operation for parent in family if parent.num_layers > j}
    assert set(cards) <= set(space)


@pytest.mark.parametrize("budget", [1, "2s"])
def test_a_budget_that_leaves_nothing_for_a_level(bench, budget):
    with pytest.raises(OptionError, match="no evaluation that succeeded for level g1"):
        search(bench, "random", budget=budget, levels=LEVELS)


@pytest.mark.parametrize("levels", [[], "g1"])
def test_levels_are_a_list(bench, levels):
    with pytest.raises(OptionError, match="is no list of spaces"):
        search(bench, "random", budget=5, levels=levels)


def test_levels_go_from_coarse_to_fine():
    check_levels([load_space(name) for name in LEVELS])
    with pytest.raises(OptionError, match="cards of g3 are not in g2"):
        check_levels([load_space("g3"), load_space("g2")])


def test_each_level_begins_with_what_the_last_one_found(bench):
    run = search(bench, "evolution", budget=60, seed=1, levels=LEVELS)
    assert run.level_ends == (20, 40, 60)
    assert (run.frame["origin"] == "predicted").all()
    assert run.frame["card_hash"].is_unique
    assert run.frame["best"].is_monotonic_increasing
    first, last = run.frame["best"].iloc[19], run.frame["best"].iloc[59]
    assert last > first


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        pytest.param({}, 0.5, marks=pytest.mark.slow),
        ({"workers": 4}, 0.3),
        pytest.param({"until_converged": True}, 0.8, marks=pytest.mark.slow),
    ],
)
def test_a_search_of_levels_that_is_cut_goes_on(bench, tmp_path, settings, part):
    settings = {"budget": 45, "seed": 2, "levels": LEVELS} | settings
    whole = search(bench, "evolution", **settings, out=tmp_path)
    path = journal_path(tmp_path, 2)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    again = search(bench, "evolution", **settings, out=tmp_path)
    assert [row["card_hash"] for row in again.rows] == [row["card_hash"] for row in whole.rows]
    assert again.level_ends == whole.level_ends


def test_levels_share_a_budget_of_time(bench):
    run = search(bench, "random", budget="30h", seed=0, levels=LEVELS)
    assert len(run.level_ends) == 3
    ends = [run.rows[end - 1]["finished_at"] / 3600 for end in run.level_ends]
    assert all(9 * (i + 1) < end <= 10 * (i + 1) for i, end in enumerate(ends))
