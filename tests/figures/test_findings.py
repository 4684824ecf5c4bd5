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
    """The beginnings of runs, of the same names."""
    found = {name: cut(name, 3, 20) for name in searches.RUNS if "figure" not in name}
    return {**found, **dict.fromkeys(("figure-3a", "figure-3b", "figure-3c"), cut("g1", 6, 12))}


def test_the_page_is_what_the_shipped_data_say_now(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["findings.py", "--out", str(tmp_path / "findings.md")])
    programs("findings").main()
    page = (tmp_path / "findings.md").read_bytes()
    assert page == (ROOT / "docs" / "findings.md").read_bytes()
    assert all(len(line) <= 120 for line in page.decode().splitlines() if not line.startswith(("|", "#")))


def test_sections_of_runs_are_the_same_again_and_say_where_scores_come_from(searches, bench, drafts):
    def sections():
        some = (searches.richer_searches(bench, drafts), searches.vector_searches(bench, drafts))
        return [*some, *searches.vectors_without_noise(bench, drafts), *searches.ablations(bench, drafts)]

    first = sections()
    assert sections() == first
    origins = ("predicted", "predicted", "published", "predicted", "published", "predicted")
    for section, origin in zip(first, origins, strict=True):
        text = section.text.replace("\n", " ")
        assert f"origin {origin}" in text
        assert "protocol `electra-owt-100k`" in text
        assert ("the surrogate of `nas-bench-bert-2023`" in text) == (origin == "predicted")
        for claim in section.claims:
            assert claim.verdict.split(", ")[-1] in ("agrees", "disagrees", "open")


def test_noise_and_what_methods_are_judged_by_are_said(searches, bench, drafts):
    runs = drafts["figure-3b"]
    said = [searches.about(bench, replace(runs, problem={**runs.problem, "noisy": noisy})) for noisy in (False, True)]
    assert ["best score so far; 6 seeds" in text for text in said] == [True, False]
    assert ["expected value of the card recommended; 6 seeds" in text for text in said] == [False, True]
    assert ["drawn with the noise" in text for text in said] == [False, True]


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
    assert rows[0][5] == "+2.5 |"  # of GP-BO, 0.64725 less 0.62186 in the paper's Figure 3


def test_a_verdict_is_where_the_whole_interval_lies(programs):
    cases = {(0.1, 0.3): "agrees", (-0.3, -0.1): "disagrees", (-0.1, 0.3): "open", (0.0, 0.0): "open"}
    assert programs("wording").verdict(Interval(0.2, 0.1, 0.3), p=0.2) == "open"
    for (low, high), said in cases.items():
        assert programs("wording").verdict(Interval(0.2, low, high)) == said
