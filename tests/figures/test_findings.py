import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.storage import data_folder
from flexnas_bench.surrogate.judging import Interval

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def searches(programs):
    return programs("findings_of_searches")


def cut(name, seeds, steps):
    """The beginning of shipped runs, with the cards that are in it."""
    whole = Comparison.read([data_folder() / "runs" / f"{name}.parquet"])
    frames = {
        method: frame[(frame["seed"] < seeds) & (frame["step"] <= steps)] for method, frame in whole.frames.items()
    }
    asked = set().union(*(frame["card_hash"] for frame in frames.values()))
    return replace(whole, frames=frames, cards=whole.cards[whole.cards["card_hash"].isin(asked)])


@pytest.fixture(scope="module")
def drafts(searches):
    """Short runs in place of those that take hours, of the same names."""
    pool = cut("pool", 3, 20)
    vectors = {f"{name}, T2v": pool.frames[f"{name}, best"] for name in searches.WITH_VECTORS}
    found = {name: cut(name, 3, 20) for name in ("pool-ablations", "g1-ablations")}
    figures = dict.fromkeys(("figure-3a", "figure-3b", "figure-3c"), cut("g1", 3, 12))
    return {**figures, **found, "pool": pool, "pool-t2v": replace(pool, frames=vectors)}


def test_the_page_is_what_the_shipped_data_say_now(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["findings.py", "--out", str(tmp_path / "findings.md")])
    programs("findings").main()
    page = (tmp_path / "findings.md").read_bytes()
    assert page == (ROOT / "docs" / "findings.md").read_bytes()
    assert all(len(line) <= 120 for line in page.decode().splitlines() if not line.startswith(("|", "#")))


def test_sections_of_runs_are_the_same_again_and_say_where_scores_come_from(searches, bench, drafts):
    def sections():
        some = (searches.richer_searches, searches.vector_searches, searches.vectors_on_trained_cards)
        pairs = [searches.Pair("second order", "boshnas", "without second order", "3. Second order", "needed")]
        return [one(bench, drafts) for one in some] + searches.ablations(bench, drafts, pairs, "with it less without")

    first = sections()
    assert sections() == first
    for section, origin in zip(first, ("predicted", "predicted", "published", "published", "predicted"), strict=True):
        text = section.text.replace("\n", " ")
        assert f"origin {origin}, protocol `electra-owt-100k`" in text
        assert ("the surrogate of `nas-bench-bert-2023`" in text) == (origin == "predicted")
        (claim,) = section.claims
        assert claim.verdict.split(", ")[-1] in ("agrees", "disagrees", "open")


def test_noise_and_what_methods_are_judged_by_are_said(searches, bench, drafts):
    runs = drafts["figure-3b"]
    said = [searches.about(bench, replace(runs, problem={**runs.problem, "noisy": noisy})) for noisy in (False, True)]
    assert ["best score so far; 3 seeds" in text for text in said] == [True, False]
    assert ["expected value of the card recommended; 3 seeds" in text for text in said] == [False, True]
    assert ["drawn with the noise" in text for text in said] == [False, True]


def test_runs_that_are_not_there_are_named(searches, bench):
    sections = [
        searches.richer_searches(bench, {}),
        searches.vector_searches(bench, {}),
        searches.vectors_on_trained_cards(bench, {}),
    ]
    for section, name in zip(sections, ("figure-3a", "figure-3c", "pool-t2v"), strict=True):
        assert f"`data/runs/{name}.parquet`" in section.text.replace("\n", " ")
        assert "not shipped yet" in section.text.replace("\n", " ")
        assert [claim.verdict for claim in section.claims] == ["not shipped yet"]
    assert searches.shipped_runs(Path("nowhere")) == {}


def test_gains_are_those_of_hand(searches):
    one = pd.DataFrame({5: [70.0, 71.0, 75.0, 9.0]}, index=[0, 1, 2, 7])
    other = pd.DataFrame({5: [72.0, 70.0, 69.5]}, index=[2, 1, 0])
    found = searches.gain(one, other, 5)  # 0.5, 1 and 3 of the seeds 0, 1 and 2, which both have
    assert found.effect.value == pytest.approx(1.5)
    means = sorted(np.mean(draw) for draw in product((0.5, 1.0, 3.0), repeat=3))  # all samples that may be drawn
    assert found.effect[1:] == pytest.approx(np.quantile(means, [0.05, 0.95]), abs=0.2)
    assert found.p == pytest.approx(2 / 2**3)  # of all signs only these and their opposites are as extreme


def test_panels_show_what_was_planted(searches, drafts):
    first = drafts["figure-3a"]
    higher = {name: frame.assign(best=frame["best"] + 0.5) for name, frame in first.frames.items()}
    table, whole, percent = searches.panels(first, replace(first, frames=higher), "ab", searches.WITH_VECTORS)
    assert whole.effect == pytest.approx((0.5, 0.5, 0.5))
    assert percent == pytest.approx(100 * 0.5 / 73, abs=0.02)
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[3] for row in rows] == ["+0.50 (+0.50 to +0.50), agrees"] * (len(searches.WITH_VECTORS) + 1)
    assert rows[0][5] == "+0.025 |"  # of GP-BO, 0.64725 less 0.62186 in the paper's Figure 3


def test_a_verdict_is_where_the_whole_interval_lies(programs):
    cases = {(0.1, 0.3): "agrees", (-0.3, -0.1): "disagrees", (-0.1, 0.3): "open", (0.0, 0.0): "open"}
    for (low, high), said in cases.items():
        assert programs("wording").verdict(Interval(0.2, low, high)) == said
