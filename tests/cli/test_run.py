"""`run` and `compare`: what searches leave, and what they say together."""

import json
import re

import pytest

from flexnas_bench import ModelCard
from flexnas_bench.searching.recommendation import recommendations
from flexnas_bench.searching.runs import read_cards, read_runs


def test_run_leaves_a_table_and_a_picture(flexnas, tmp_path):
    out = tmp_path / "run"
    code, text, _ = flexnas("run", "--optimizer", "random", "--budget", 12, "--seeds", 3, "--jobs", 2, "--out", out)
    assert code == 0
    assert "published" in text
    assert "90 % interval" in text
    frame = read_runs(out / "runs.parquet")
    assert frame.groupby("seed")["step"].max().tolist() == [12, 12, 12]
    assert (out / "best_so_far.png").read_bytes().startswith(b"\x89PNG")
    code, text, _ = flexnas("run", "--optimizer", "random", "--budget", 12, "--seeds", 3, "--out", out, "--json")
    summary = json.loads(text)
    assert summary["best_result"]["value"] == frame["value"].max()
    assert [row["step"] for row in summary["best_so_far"]] == [10, 12]
    assert summary["best_so_far"][-1]["mean"] == pytest.approx(frame[frame["step"] == 12]["best"].mean())


def test_levels_workers_and_transfers(flexnas, tmp_path):
    levels = ("run", "--optimizer", "evolution", "--levels", "g1,g2", "--budget", 24, "--seeds", 2)
    cluster = ("--workers", 4, "--transfer", "--overlap", "0.5")
    code, out, _ = flexnas(*levels, *cluster, "--out", tmp_path / "run")
    assert code == 0
    for text in ("best at its end", "all scores are predicted", "hours on 4 simulated workers", "transfers of weights"):
        assert text in out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [row["level"] for row in summary["levels"]] == ["g1", "g2"]
    assert [row["evaluations"] for row in summary["levels"]] == [12, 12]
    frame = read_runs(tmp_path / "run" / "runs.parquet")
    ends = [frame[frame["step"] == step]["best"].mean() for step in (12, 24)]
    assert [row["best"]["mean"] for row in summary["levels"]] == pytest.approx(ends)
    assert summary["levels"][1]["gain"]["mean"] == pytest.approx(ends[1] - ends[0])
    code, _, err = flexnas(*levels[:-4], "--budget", 48, *cluster, "--out", tmp_path / "run")
    assert (code, "its budget is" in err) == (2, True)


def test_a_card_recommended_is_shown_with_its_expected_value(flexnas, bench, tmp_path):
    run = ("run", "--optimizer", "random", "--space", "g1", "--noisy", "--budget", 12, "--out", tmp_path / "run")
    code, out, _ = flexnas(*run)
    assert code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    expected = bench.query(summary["best_card"], kind="surrogate")
    assert summary["best_result"]["value"] == summary["best_expected"] == expected.value
    line = next(line for line in out.splitlines() if line.startswith("card recommended"))
    assert f"glue8 {expected.value:.2f} (mean of 8 tasks, predicted mean; a training differs by sd" in line
    assert (
        line.removeprefix("card recommended by 1 of 1 seeds: ")
        in flexnas("query", json.dumps(summary["best_card"]), "--kind", "surrogate")[1]
    )


@pytest.mark.slow
def test_noisy_levels_are_judged_by_the_card_recommended(flexnas, tmp_path):
    run = ("run", "--optimizer", "random", "--levels", "g1,g2", "--noisy", "--budget", 30, "--seeds", 2)
    code, out, _ = flexnas(*run, "--out", tmp_path / "run")
    assert code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    frame, cards = read_runs(tmp_path / "run" / "runs.parquet"), read_cards(tmp_path / "run" / "cards.parquet")
    found = recommendations(frame, cards)
    at_15 = found[found["step"] == 15]["expected"].mean()
    last = found[found["step"] == 30]
    assert summary["levels"][0]["best"]["mean"] == pytest.approx(at_15)
    assert summary["levels"][1]["gain"]["mean"] == pytest.approx(last["expected"].mean() - at_15)
    assert summary["recommended"][-1]["mean"] == pytest.approx(last["expected"].mean())
    best = last.loc[last["posterior"].idxmax()]
    assert ModelCard.from_dict(summary["best_card"]).hash == best["card_hash"]
    assert summary["best_expected"] == pytest.approx(best["expected"])
    assert "card recommended by 1 of 2 seeds" in out
    assert summary["best_so_far"][-1]["mean"] == pytest.approx(frame[frame["step"] == 30]["best"].mean())


@pytest.mark.slow
def test_methods_are_compared(flexnas, tmp_path):
    for name in ("random", "evolution"):
        run = ("run", "--optimizer", name, "--space", "g1", "--noisy", "--budget", 20, "--seeds", 3)
        assert flexnas(*run, "--out", tmp_path / name)[0] == 0
    code, out, _ = flexnas("compare", tmp_path / "random", tmp_path / "evolution", "--out", tmp_path / "pictures")
    assert code == 0
    assert re.search(r"regret of the expected value of the card recommended \(the best there is: 74\.", out)
    for text in ("best value so far", "expected value of the card", "rank among", "evolution", "signed-rank"):
        assert text in out
    names = {"best_so_far", "expected", "recommended", "best_by_hours", "best_by_gpu_hours", "ranks"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {f"{name}.png" for name in names}
    found = json.loads(flexnas("compare", tmp_path / "random", tmp_path / "evolution", "--json", "--target", 60)[1])
    assert found["methods"]["random"]["evaluations_to_target_median"] <= 20
    assert found["target"] == 60

    def refuse(constant):
        raise AssertionError(constant)

    unreached = flexnas("compare", tmp_path / "random", "--json", "--target", 999)[1]
    never = json.loads(unreached, parse_constant=refuse)["methods"]["random"]
    assert (never["evaluations_to_target_median"], never["seeds_that_reached_target"]) == (None, 0)
    assert len(found["methods"]["random"]["best"]) == 1
    for option, value, says in (
        ("--steps", "ten", "no list of numbers"),
        ("--target", "nan", "--target nan is no score"),
        ("--optimum", "inf", "--optimum inf is no score"),
    ):
        code, _, err = flexnas("compare", tmp_path / "random", option, value)
        assert (code, says in err) == (2, True)


def test_what_was_found_is_left_as_json_too(flexnas, tmp_path):
    arguments = ("run", "--optimizer", "random", "--budget", 20, "--seeds", 2, "--out", tmp_path / "run", "--json")
    summary = json.loads(flexnas(*arguments)[1])
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert set(summary["converged_at"]) == {"0", "1"}


def test_other_settings_go_to_another_folder(flexnas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for extra in ((), ("--initial", 3), ("--initial", 4)):
        assert flexnas("run", "--optimizer", "random", "--budget", 4, *extra)[0] == 0
    assert len(list((tmp_path / "runs").iterdir())) == 3
    assert (tmp_path / "runs" / "random-pool-glue8" / "runs.parquet").exists()


def test_an_option_of_the_optimizer_arrives(flexnas, tmp_path):
    arguments = ("run", "--budget", 11, "--option", "alpha=0.9", "--out", tmp_path / "run", "--json")
    assert json.loads(flexnas(*arguments)[1])["settings"]["options"] == {"alpha": 0.9}


def test_budgets_in_simulated_time_and_the_papers_models_to_begin_with(flexnas, tmp_path):
    run = ("run", "--optimizer", "random", "--initial", "paper12", "--out", tmp_path / "run")
    summary = json.loads(flexnas(*run, "--budget", "5h", "--json")[1])
    assert summary["settings"]["initial"] == "paper12"
    frame = read_runs(tmp_path / "run" / "runs.parquet")
    assert 3 < len(frame) < 12
    assert frame["finished_at"].max() <= 5 * 3600
    assert summary["best_so_far"][-1]["mean"] == frame["value"].max()
    code, _, err = flexnas(*run[:-1], tmp_path / "other", "--budget", "1s")
    assert code == 2
    assert "in 1s not one evaluation of seed 0 would have ended" in err


def test_a_space_without_all_scores_says_who_has_them(flexnas, bench, tmp_path):
    _, _, err = flexnas("run", "--task", "rte", "--protocol", "electra-owt-1m-step-150k", "--kind", "table")
    assert "only 15 of the 491 cards of space pool have a rte score under protocol electra-owt-1m-step-150k" in err
    assert "electra-owt-100k has them" in err
    path = tmp_path / "curves.jsonl"
    cards = map(bench.card, bench.hashes("rte", "electra-owt-1m-step-150k"))
    path.write_text("\n".join(card.to_json() for card in cards))
    run = ("run", "--optimizer", "random", "--space", path, "--task", "rte", "--protocol", "electra-owt-1m-step-150k")
    summary = json.loads(flexnas(*run, "--out", tmp_path / "run", "--json")[1])
    assert summary["evaluations"] == 15
    assert len(summary["notes"]) == 1
    assert "has 15 cards" in summary["notes"][0]
