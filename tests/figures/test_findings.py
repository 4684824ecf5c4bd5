import importlib
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flexnas_bench import ModelCard
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.storage import data_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def findings():
    """The program as a module."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("findings")
    for name in ("findings", "experiments", "shipping"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def trained(bench):
    return bench.trained()


@pytest.fixture(scope="module")
def cards(findings, trained):
    return findings.trained_cards(trained)


def cut(name, seeds, steps):
    """The beginning of shipped runs, with the cards that are in it."""
    whole = Comparison.read([data_folder() / "runs" / f"{name}.parquet"])
    frames = {
        method: frame[(frame["seed"] < seeds) & (frame["step"] <= steps)] for method, frame in whole.frames.items()
    }
    asked = set().union(*(frame["card_hash"] for frame in frames.values()))
    return replace(whole, frames=frames, cards=whole.cards[whole.cards["card_hash"].isin(asked)])


@pytest.fixture(scope="module")
def drafts(findings):
    """Short runs in place of those that take hours, of the same names."""
    pool = cut("pool", 3, 20)
    vectors = {f"{name}, T2v": pool.frames[f"{name}, best"] for name in findings.WITH_VECTORS}
    found = {name: cut(name, 3, 20) for name in ("pool-ablations", "g1-ablations")}
    figures = dict.fromkeys(("figure-3a", "figure-3b", "figure-3c"), cut("g1", 3, 12))
    return {**figures, **found, "pool": pool, "pool-t2v": replace(pool, frames=vectors)}


def test_the_page_is_what_the_shipped_data_say_now(findings, bench, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["findings.py", "--out", str(tmp_path / "findings.md")])
    findings.main()
    page = (tmp_path / "findings.md").read_bytes()
    assert page == (ROOT / "docs" / "findings.md").read_bytes()
    assert all(len(line) <= 120 for line in page.decode().splitlines() if not line.startswith(("|", "#")))


def test_sections_of_runs_are_the_same_again_and_say_where_scores_come_from(findings, bench, drafts):
    def sections():
        some = (findings.richer_searches, findings.vector_searches, findings.vectors_on_trained_cards)
        pairs = [findings.Pair("second order", "boshnas", "without second order", "3. Second order", "needed")]
        return [one(bench, drafts) for one in some] + findings.ablations(bench, drafts, pairs, "with it less without")

    first = sections()
    assert sections() == first
    for section, origin in zip(first, ("predicted", "predicted", "published", "published", "predicted"), strict=True):
        text = section.text.replace("\n", " ")
        assert f"origin {origin}, protocol `electra-owt-100k`" in text
        assert ("the surrogate of `nas-bench-bert-2023`" in text) == (origin == "predicted")
        (claim,) = section.claims
        assert claim.verdict.split(", ")[-1] in ("agrees", "disagrees", "open")


def test_noise_and_what_methods_are_judged_by_are_said(findings, bench, drafts):
    runs = drafts["figure-3b"]
    said = [findings.about(bench, replace(runs, problem={**runs.problem, "noisy": noisy})) for noisy in (False, True)]
    assert ["best score so far; 3 seeds" in text for text in said] == [True, False]
    assert ["expected value of the card recommended; 3 seeds" in text for text in said] == [False, True]
    assert ["drawn with the noise" in text for text in said] == [False, True]


def test_runs_that_are_not_there_are_named(findings, bench):
    sections = [
        findings.richer_searches(bench, {}),
        findings.vector_searches(bench, {}),
        findings.vectors_on_trained_cards(bench, {}),
    ]
    for section, name in zip(sections, ("figure-3a", "figure-3c", "pool-t2v"), strict=True):
        assert f"`data/runs/{name}.parquet`" in section.text.replace("\n", " ")
        assert "not shipped yet" in section.text.replace("\n", " ")
        assert [claim.verdict for claim in section.claims] == ["not shipped yet"]
    assert findings.shipped_runs(Path("nowhere")) == {}


def test_gains_are_those_of_hand(findings):
    one = pd.DataFrame({5: [70.0, 71.0, 75.0, 9.0]}, index=[0, 1, 2, 7])
    other = pd.DataFrame({5: [72.0, 70.0, 69.5]}, index=[2, 1, 0])
    found = findings.gain(one, other, 5)  # 0.5, 1 and 3 of the seeds 0, 1 and 2, which both have
    assert found.effect.value == pytest.approx(1.5)
    means = sorted(np.mean(draw) for draw in product((0.5, 1.0, 3.0), repeat=3))  # all samples that may be drawn
    assert found.effect[1:] == pytest.approx(np.quantile(means, [0.05, 0.95]), abs=0.2)
    assert found.p == pytest.approx(2 / 2**3)  # of all signs only these and their opposites are as extreme


def test_panels_show_what_was_planted(findings, drafts):
    first = drafts["figure-3a"]
    higher = {name: frame.assign(best=frame["best"] + 0.5) for name, frame in first.frames.items()}
    table, whole, percent = findings.panels(first, replace(first, frames=higher), "ab", findings.WITH_VECTORS)
    assert whole.effect == pytest.approx((0.5, 0.5, 0.5))
    assert percent == pytest.approx(100 * 0.5 / 73, abs=0.02)
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[3] for row in rows] == ["+0.50 (+0.50 to +0.50), agrees"] * (len(findings.WITH_VECTORS) + 1)
    assert rows[0][5] == "+0.025 |"  # of GP-BO, 0.64725 less 0.62186 in the paper's Figure 3


def test_a_verdict_is_where_the_whole_interval_lies(findings):
    cases = {(0.1, 0.3): "agrees", (-0.3, -0.1): "disagrees", (-0.1, 0.3): "open", (0.0, 0.0): "open"}
    for (low, high), said in cases.items():
        assert findings.verdict(findings.Interval(0.2, low, high)) == said


def test_a_difference_of_predictions_is_no_surer_than_both(findings):
    one, other = ({"mean": mean, "epistemic_std": std} for mean, std in ((73.0, 0.3), (74.0, 0.4)))
    effect, most = findings.predicted_difference(one, other)
    assert most == pytest.approx(0.7)
    assert effect == pytest.approx((1.0, 1.0 - 1.6449 * 0.7, 1.0 + 1.6449 * 0.7), abs=1e-4)


def test_combinations_are_those_of_the_normal_equations(findings):
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(300), rng.normal(size=(300, 2))])
    y = x @ [70.0, 1.0, -2.0] + rng.normal(size=300) * (0.5 + (x[:, 1] > 0))
    weights = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, -1.0]])
    found = findings.combinations(x, y, weights)
    inverse = np.linalg.inv(x.T @ x)
    coefficients = inverse @ x.T @ y
    assert [one.value for one in found] == pytest.approx(weights @ coefficients)
    left = y - x @ coefficients
    covariance = inverse @ (x.T * left**2) @ x @ inverse  # White's, for noise that is not the same everywhere
    deviations = np.sqrt(np.diag(weights @ covariance @ weights.T))
    assert [one.high - one.low for one in found] == pytest.approx(2 * 1.645 * deviations, rel=0.06)


def test_an_interval_of_the_strongest_cards_holds_an_effect_of_zero_nine_times_in_ten(findings, cards, monkeypatch):
    monkeypatch.setattr(findings, "RESAMPLES", 300)
    strongest = findings.samples(cards)["four layers, 256 wide"]
    rng, inside = np.random.default_rng(1), []
    for _ in range(60):  # of 18 sums each
        scores = strongest.assign(score=73 + 0.7 * rng.normal(size=len(strongest)))
        inside += [effect.low <= 0 <= effect.high for effect in findings.effects(scores, findings.by_half())]
    assert 0.86 < np.mean(inside) < 0.94


def planted(cards, seed, **effects):
    """Scores of the cards with such effects, a level for each size, and noise."""
    shares = sum(effect * cards[name.replace("_", " ")] for name, effect in effects.items())
    noise = np.random.default_rng(seed).normal(size=len(cards)) * np.where(cards["depth"] == 2, 1.0, 0.5)
    return cards.assign(score=60 + cards["depth"] * 2 + cards["hidden"] / 64 + shares + noise)


def test_what_was_planted_in_one_half_is_found_there_and_what_is_in_both_is_no_rule_of_depth(findings, cards):
    scores = planted(cards, 0, deeper_DCT=1.5, deeper_single=0.8, shallower_single=0.8, shallower_wide=0.6)
    found = findings.across(scores, findings.by_half())
    deeper, moved = found.loc[findings.DEEPER], found.loc[findings.MOVED]
    rules = {
        "DCT, not another operation": (1.5, 1.5),
        "DCT, not DFT": (1.5, 1.5),
        "one feed-forward network, not three": (0.8, 0.0),
        "feed-forward networks 1024 wide, not 512": (0.0, -0.6),
        "four heads, not two": (0.0, 0.0),
        "all four": (2.3, 0.9),
    }
    held = [
        effect.low <= truth <= effect.high
        for rule, truths in rules.items()
        for truth, effects in zip(truths, (deeper, moved), strict=True)
        for effect in effects.loc[rule]
    ]
    assert np.mean(held) > 0.8  # of 48 intervals, which share cards
    for rule, truths in rules.items():
        for truth, effects in zip(truths, (deeper, moved), strict=True):
            assert effects.loc[rule, "all"].value == pytest.approx(truth, abs=0.5)
    assert deeper.loc["one feed-forward network, not three"].map(findings.verdict).eq("agrees").all()


def test_mixing_is_told_apart_from_what_layers_are_worth(findings, cards):
    scores = planted(cards, 1, mixed_heads=0.7, deeper_WMA=1.0)
    weights = {name: {f"mixed {name}": 1.0} for name in findings.MIXES}
    found = findings.across(scores, weights, mixed=True)["all"]
    assert findings.verdict(found["heads"]) == "agrees"
    assert found["heads"].value == pytest.approx(0.7, abs=0.25)
    assert found["operations"].value == pytest.approx(0.0, abs=0.25)


def test_the_papers_own_card_follows_every_rule(findings):
    row = pd.Series(findings.described(ModelCard.named("flexibert-mini")))
    for (where, rule), weights in findings.by_half().items():
        has = sum(row[column] * weight for column, weight in weights.items())
        deeper, shallower = (4.0, 0.0) if rule == "all four" else (1.0, 0.0)
        expected = {findings.MOVED: deeper - shallower, findings.DEEPER: deeper, findings.SHALLOWER: shallower}
        assert has == expected[where]
    assert row["mixed operations"] == row["mixed heads"] == row["mixed feed-forward stacks"] == 2


def test_halves_exchanged_have_as_many_parameters(trained):
    assert all(len({layer.hidden for layer in one.card.layers}) == 1 for one in trained)
    for one in trained[::10]:
        middle = one.card.num_layers // 2
        layers = one.card.layers
        assert ModelCard((*layers[middle:], *layers[:middle])).parameters == one.card.parameters


def test_failed_trainings_are_apart_and_replicates_are_one_card(findings, trained, cards):
    failed = sum(len(one.failed_scores) for one in trained)
    assert (len(trained), failed, len(cards)) == (491, 16, 475)
    twice = next(one for one in trained if len(one.scores) == 2)
    assert np.isclose(cards["score"], np.mean(twice.scores)).sum() == 1
    _, table = findings.failures(trained)
    for line in table.splitlines()[2:]:
        counts = [cell.split(":")[0].split(" of ") for cell in line.strip("| ").split(" | ")[1:]]
        assert np.array(counts, int).sum(axis=0).tolist() == [16, 239]  # trainings of two layers
