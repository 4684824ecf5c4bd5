import math

import pytest

from flexnas_bench import DesignSpace, OptionError, search
from flexnas_bench.searching.budget import Budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        (60, Budget(evaluations=60)),
        ("60", Budget(evaluations=60)),
        ("90s", Budget(seconds=90)),
        (" 45M ", Budget(seconds=2_700)),
        ("1.5h", Budget(seconds=5_400)),
        ("2d", Budget(seconds=172_800)),
    ],
)
def test_budgets_are_read(text, budget):
    assert Budget.read(text) == budget
    assert math.inf in (budget.evaluations, budget.seconds)


@pytest.mark.parametrize(
    "text", [0, -1, "0", "-3", "0h", "", "h", "1.5", "1e3s", "60 minutes", True, None, 2.5, "9" * 20]
)
def test_what_is_no_budget(text):
    with pytest.raises(OptionError, match="budget: "):
        Budget.read(text)


def test_simulated_time_ends_with_the_last_evaluation_that_fits(bench):
    free = search(bench, "random", budget=30, seed=2).frame
    run = search(bench, "random", budget="10h", seed=2).frame
    fitting = free[free["finished_at"] <= 36_000]
    assert 3 < len(fitting) < 30
    assert run["card_hash"].tolist() == fitting["card_hash"].tolist()
    assert run["finished_at"].iloc[-1] == pytest.approx(run["cost_seconds"].sum())


def test_a_longer_time_goes_on_from_a_shorter_one(bench, tmp_path):
    first = search(bench, "evolution", budget="5h", seed=1, initial=3, out=tmp_path / "run").frame
    longer = search(bench, "evolution", budget="8h", seed=1, initial=3, out=tmp_path / "run").frame
    whole = search(bench, "evolution", budget="8h", seed=1, initial=3).frame
    assert len(first) < len(longer)
    assert longer["card_hash"].tolist() == whole["card_hash"].tolist()
    again = search(bench, "evolution", budget="5h", seed=1, initial=3, out=tmp_path / "run").frame
    assert again["card_hash"].tolist() == first["card_hash"].tolist()


def test_time_without_known_costs_is_refused(bench):
    space = early(bench)
    assert len(search(bench, "random", space, "glue", 4, protocol="flexibert-2021-early").rows) == 4
    with pytest.raises(OptionError, match="needs costs, and under protocol flexibert-2021-early not all"):
        search(bench, "random", space, "glue", "4h", protocol="flexibert-2021-early")


def early(bench):
    return DesignSpace.from_cards("early", map(bench.card, bench.hashes("glue", "flexibert-2021-early")))
