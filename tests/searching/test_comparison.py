import math
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from flexnas_bench import DesignSpace, OptionError, RunMismatchError, TableCorruptError, search
from flexnas_bench.searching.analysis import (
    best_by_time,
    best_so_far,
    evaluations_to,
    expected_so_far,
    paired_test,
    ranks,
)
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.runs import CARDS_FILE, RUNS_FILE, read_runs, write_cards, write_runs
from flexnas_bench.searching.settings import SETTINGS_FILE
from flexnas_bench.storage import data_folder


def runs(values, optimizer="a", seed=0):
    """A run with these values, one an hour."""
    best = np.fmax.accumulate(values)
    rows = zip(values, best, strict=True)
    return pd.DataFrame(
        [
            {"optimizer": optimizer, "seed": seed, "step": i, "card_hash": f"{optimizer}{seed}{i}"}
            | {"value": value, "best": b, "finished_at": 3600.0 * i}
            for i, (value, b) in enumerate(rows, 1)
        ]
    )


def test_the_expected_value_is_that_of_the_card_with_the_best_reading():
    frame = pd.concat([runs([np.nan, 3.0, 1.0, 5.0, 5.0], seed=0), runs([2.0, 1.0, 4.0, 3.0, 9.0], seed=1)])
    cards = pd.DataFrame({"card_hash": frame["card_hash"], "expected": np.arange(10.0)})
    found = expected_so_far(frame.sample(frac=1, random_state=1), cards).to_numpy()
    np.testing.assert_array_equal(found, [[np.nan, 1, 1, 3, 3], [5, 5, 7, 7, 9]])


def test_best_values_by_simulated_time():
    frame = runs([1.0, 3.0, 2.0])
    found = best_by_time(frame, np.array([0.5, 1.0, 2.5, 9.0]), frame["finished_at"] / 3600)
    np.testing.assert_array_equal(found.to_numpy(), [[np.nan, 1.0, 3.0, 3.0]])


def test_ranks_share_the_mean_of_equal_places():
    tables = {
        name: pd.DataFrame([row], columns=[1, 2]) for name, row in {"a": [3, 5], "b": [3, 7], "c": [1, 9]}.items()
    }
    found = ranks(tables)
    assert {name: table.to_numpy().tolist() for name, table in found.items()} == {
        "a": [[1.5, 3.0]],
        "b": [[1.5, 2.0]],
        "c": [[3.0, 1.0]],
    }


def test_evaluations_to_a_target():
    best = best_so_far(pd.concat([runs([1.0, 3.0, 4.0]), runs([1.0, 1.0, 2.0], seed=1), runs([5.0], seed=2)]))
    np.testing.assert_array_equal(evaluations_to(best, 3.0), [2, math.inf, 1])


def test_the_paired_test_is_wilcoxons():
    rng = np.random.default_rng(0)
    for shift in (0.0, 1.0):
        difference = rng.normal(shift, 1, size=20)
        assert paired_test(difference) == wilcoxon(difference).pvalue
    assert paired_test(np.zeros(5)) == 1.0


@pytest.fixture(scope="module")
def folders(bench, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name in ("random", "evolution"):
        for seed in range(4):
            search(bench, name, budget=30, seed=seed, out=root / name)
    return root


def test_a_comparison_says_what_the_runs_say(bench, folders):
    comparison = Comparison.read([folders / "random", folders / "evolution"])
    found = comparison.summary([10, 30, 99], target=74.0, optimum=75.13)
    for name in ("random", "evolution"):
        frame, method = comparison.frames[name], found["methods"][name]
        last = frame[frame["step"] == 30]["best"]
        assert [row["step"] for row in method["best"]] == [10, 30]
        assert method["best"][1]["mean"] == pytest.approx(last.mean())
        assert method["regret"][1]["mean"] == pytest.approx(75.13 - last.mean())
        assert method["seeds_that_reached_target"] == (last >= 74.0).sum()
        assert method["expected"][1]["mean"] < method["best"][1]["mean"]  # of the best of thirty readings
    assert sum(method["rank"][1]["mean"] for method in found["methods"].values()) == pytest.approx(3)
    at_ten, at_thirty = found["pairs"]
    assert at_ten["mean"] == 0  # the initial cards
    assert at_thirty["mean"] == pytest.approx(
        found["methods"]["random"]["best"][1]["mean"] - found["methods"]["evolution"]["best"][1]["mean"]
    )
    assert comparison.problem["space"] == "pool"
    for tables in (comparison.by_hours, comparison.by_gpu_hours):  # the same for one worker
        last = tables["evolution"].iloc[:, -1]
        frame = comparison.frames["evolution"]
        assert (
            last[2] == frame[(frame["seed"] == 2) & (frame["finished_at"] <= last.name * 3600 + 1e-6)]["best"].iloc[-1]
        )
    assert not math.isnan(comparison.target)


def test_several_folders_of_one_optimizer_are_named_after_themselves(bench, folders, tmp_path):
    search(bench, "evolution", budget=12, seed=0, sample=3, out=tmp_path / "small-sample")
    found = Comparison.read([folders / "evolution", tmp_path / "small-sample", folders / "random"])
    assert list(found.frames) == ["evolution", "small-sample", "random"]
    with pytest.raises(OptionError, match="named evolution"):
        Comparison.read([folders / "evolution", folders / "evolution"])


def test_runs_of_different_problems_are_not_compared(bench, folders, tmp_path):
    search(bench, "random", task="rte", budget=5, out=tmp_path / "rte")
    with pytest.raises(RunMismatchError, match=r"random and .*rte are not .* task is glue8 in the first, rte in"):
        Comparison.read([folders / "random", tmp_path / "rte"])


def test_noise_is_part_of_the_problem(bench, tmp_path):
    for noisy in (True, False):
        search(bench, "random", "g1", budget=3, noisy=noisy, out=tmp_path / f"noisy-{noisy}")
    with pytest.raises(RunMismatchError, match="noisy is true in the first, false in the second"):
        Comparison.read([tmp_path / "noisy-True", tmp_path / "noisy-False"])


def test_a_search_that_is_not_finished_says_so(bench, folders, tmp_path):
    shutil.copytree(folders / "random", tmp_path / "run")
    for name in (RUNS_FILE, CARDS_FILE):
        (tmp_path / "run" / name).unlink()
    with pytest.raises(OptionError, match="run: its search is not finished; the same `run` command completes it"):
        Comparison.read([tmp_path / "run"])


def test_spaces_of_one_name_are_told_apart(bench, pool, tmp_path):
    for i, name in enumerate("ab"):
        search(bench, "random", DesignSpace.from_cards("mine", pool.sample(30, seed=i)), budget=12, out=tmp_path / name)
    with pytest.raises(
        RunMismatchError, match=r"a and .*b are not runs of one problem: space_digest is [0-9a-f]+ in the first"
    ):
        Comparison.read([tmp_path / "a", tmp_path / "b"])


def test_runs_without_their_cards_are_refused(bench, folders, tmp_path):
    search(bench, "random", "g1", budget=12, noisy=True, out=tmp_path / "noisy")
    cards = tmp_path / "noisy" / CARDS_FILE
    write_cards(cards, [bench.card(bench.best().card_hash)], [70.0])
    with pytest.raises(TableCorruptError, match="lacks cards of"):
        Comparison.read([tmp_path / "noisy"])
    cards.unlink()
    with pytest.raises(TableCorruptError, match="runs with noise are judged by expected values"):
        Comparison.read([tmp_path / "noisy"])


def test_a_shipped_table_knows_its_problem():
    found = Comparison.read([data_folder() / "runs" / "pool.parquet"])
    assert (found.problem["space"], found.problem["kind"], found.problem["noisy"]) == ("pool", "table", False)
    assert len(found.frames) == 12
    assert found.expected


def test_methods_without_seeds_in_common_have_no_ranks(bench, tmp_path):
    for name, seed in (("random", 0), ("evolution", 5)):
        search(bench, name, budget=12, seed=seed, out=tmp_path / name)
    found = Comparison.read([tmp_path / "random", tmp_path / "evolution"]).summary([10], 70.0)
    assert found["pairs"] == []
    assert all(method["rank"] == [] for method in found["methods"].values())


@pytest.mark.parametrize("text", ["5", '"kind"', "{", "{}", '{"space": "pool"}'])
def test_settings_that_are_none(folders, tmp_path, text):
    shutil.copytree(folders / "random", tmp_path / "copy")
    (tmp_path / "copy" / SETTINGS_FILE).write_text(text)
    with pytest.raises(RunMismatchError, match="not readable as settings"):
        Comparison.read([tmp_path / "copy"])


def test_a_table_with_a_seed_twice_is_refused(folders, tmp_path):
    rows = read_runs(folders / "random" / RUNS_FILE).to_dict("records")
    write_runs(tmp_path / "twice.parquet", rows + rows)
    write_runs(tmp_path / "none.parquet", [])
    with pytest.raises(TableCorruptError, match="a step of a seed is there twice"):
        Comparison.read([tmp_path / "twice.parquet"])
    with pytest.raises(OptionError, match="there are no runs"):
        Comparison.read([tmp_path / "none.parquet"])


FAULTS = [
    (lambda rows: rows.pop(4), "the steps of a seed are not 1, 2, 3"),
    (lambda rows: rows[4].update(step=-5), "the steps of a seed are not 1, 2, 3"),
    (lambda rows: rows[4].update(value=math.inf), "a value is infinite"),
    (lambda rows: rows[4].update(origin="foo"), "an origin that there is not"),
    (lambda rows: rows[4].update(best=1.0), "do not follow from the values"),
    (lambda rows: [row.update(value=math.nan) for row in rows], "do not follow from the values"),
]


@pytest.mark.parametrize(("spoil", "says"), FAULTS)
def test_runs_that_make_no_sense_are_refused(folders, tmp_path, spoil, says):
    rows = read_runs(folders / "random" / RUNS_FILE).to_dict("records")
    spoil(rows)
    write_runs(tmp_path / "bad.parquet", rows)
    with pytest.raises(TableCorruptError, match=says):
        Comparison.read([tmp_path / "bad.parquet"])


def test_runs_of_nobody_knows_what_are_not_compared_with_others(bench, folders, tmp_path):
    (tmp_path / "alone.parquet").write_bytes((folders / "random" / RUNS_FILE).read_bytes())
    with pytest.raises(RunMismatchError, match="nothing beside"):
        Comparison.read([tmp_path / "alone.parquet", folders / "evolution"])
    search(bench, "evolution", "g1", budget=12, out=tmp_path / "g1")
    (tmp_path / "predicted.parquet").write_bytes((tmp_path / "g1" / RUNS_FILE).read_bytes())
    with pytest.raises(RunMismatchError, match="some scores are predicted"):
        Comparison.read([tmp_path / "alone.parquet", tmp_path / "predicted.parquet"])


def test_a_table_alone_has_no_expected_values(folders, tmp_path):
    (tmp_path / "alone.parquet").write_bytes((folders / "random" / RUNS_FILE).read_bytes())
    found = Comparison.read([tmp_path / "alone.parquet"])
    assert found.expected == {}
    assert found.summary([10], 74.0)["methods"]["random"]["expected"] == []


def test_eight_workers_take_less_time_and_no_fewer_gpu_hours(bench, tmp_path):
    for workers in (1, 8):
        for seed in range(2):
            search(bench, "random", budget=30, seed=seed, workers=workers, out=tmp_path / f"on-{workers}")
    found = Comparison.read([tmp_path / "on-1", tmp_path / "on-8"])
    hours, gpu_hours = found.by_hours, found.by_gpu_hours
    assert hours["on-8"].columns[-1] < 6
    assert gpu_hours["on-8"].columns[-1] > 20
    assert (hours["on-8"].iloc[:, -1] >= hours["on-1"].iloc[:, -1]).all()
