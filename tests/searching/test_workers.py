"""Searches on several simulated workers, and with weights transferred."""

import numpy as np
import pandas as pd
import pytest

from flexnas_bench import OptionError, load_benchmark, overlap_fraction, search
from flexnas_bench.results import FINETUNE_HOURS, TRAINING_HOURS
from flexnas_bench.searching.journal import journal_path

BEST = ["card_hash", "value", "finished_at"]


def test_random_search_is_scheduled_as_by_hand(bench):
    alone = search(bench, "random", budget=40, seed=3).frame
    run = search(bench, "random", budget=40, seed=3, workers=8).frame
    free_at, ends = np.zeros(8), {}
    for row in alone.itertuples():  # asked in the same order, as random search learns nothing
        worker = free_at.argmin()
        free_at[worker] += row.cost_seconds
        ends[row.card_hash] = free_at[worker]
    assert run["card_hash"].tolist() == sorted(ends, key=ends.__getitem__)
    assert run["finished_at"].tolist() == pytest.approx(sorted(ends.values()))
    assert run["finished_at"].iloc[-1] < alone["finished_at"].iloc[-1] / 6


def test_an_optimizer_is_told_in_the_order_of_finishing(bench):
    run = search(bench, "evolution", budget=40, seed=1, workers=5)
    assert run.frame["finished_at"].is_monotonic_increasing
    assert run.frame["step"].tolist() == list(range(1, 41))
    assert run.frame["best"].tolist() == run.frame["value"].cummax().tolist()
    alone = search(bench, "evolution", budget=40, seed=1).frame
    assert set(run.frame["card_hash"]) != set(alone["card_hash"])  # it knew less when it was asked


@pytest.mark.parametrize("optimizer", ["evolution", "tpe", pytest.param("boshnas", marks=pytest.mark.slow)])
def test_a_search_that_is_cut_goes_on(bench, tmp_path, optimizer):
    budget = 14 if optimizer == "boshnas" else 30
    settings = {"budget": budget, "seed": 2, "workers": 4, "transfer": True, "overlap": 0.5}
    whole = search(bench, optimizer, **settings, out=tmp_path)
    path = journal_path(tmp_path, 2)
    content = path.read_bytes()
    for part in (0.75,) if optimizer == "boshnas" else (0.0, 0.3, 0.75):
        path.write_bytes(content[: int(part * len(content))])
        again = search(bench, optimizer, **settings, out=tmp_path)
        pd.testing.assert_frame_equal(again.frame[BEST], whole.frame[BEST])
        assert again.transfers == whole.transfers


def test_no_evaluation_ends_after_the_budget(bench):
    run = search(bench, "random", budget="5h", seed=0, workers=3).frame
    assert run["finished_at"].max() <= 5 * 3600
    longer = search(bench, "random", budget="9h", seed=0, workers=3).frame
    assert len(run) < len(longer)
    assert set(run["card_hash"]) <= set(longer["card_hash"])


@pytest.mark.parametrize("threshold", [0.5, 0.75, 0.8, 1.0])
def test_a_transfer_costs_the_fine_tuning(bench, threshold):
    run = search(bench, "evolution", budget=80, seed=4, transfer=True, overlap=threshold)
    trained, transfers = [], 0
    for row in run.frame.itertuples():
        result, card = bench.query(row.card_hash), bench.card(row.card_hash)
        served = any(overlap_fraction(card, other) >= threshold for other in trained)
        transfers += served
        share = FINETUNE_HOURS / TRAINING_HOURS if served else 1.0
        assert row.cost_seconds == pytest.approx(result.cost_seconds * share)
        assert row.value == result.value
        trained.append(card)
    assert run.transfers == transfers
    assert threshold > 0.5 or transfers > 0


def test_a_folder_remembers_workers_and_overlap(bench, tmp_path):
    search(bench, "random", budget=4, workers=2, out=tmp_path)
    from flexnas_bench import RunMismatchError

    for settings in ({}, {"workers": 3}, {"workers": 2, "transfer": True}):
        with pytest.raises(RunMismatchError, match=r"workers|overlap"):
            search(bench, "random", budget=4, out=tmp_path, **settings)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_workers_that_make_no_sense(workers):
    with pytest.raises(OptionError, match="workers: "):
        search(load_benchmark(), "random", budget=3, workers=workers)


@pytest.mark.parametrize("overlap", [0, 1.2, "much", True])
def test_overlaps_that_make_no_sense(overlap):
    with pytest.raises(OptionError, match="overlap: "):
        search(load_benchmark(), "random", budget=3, transfer=True, overlap=overlap)
