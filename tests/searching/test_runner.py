import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pandas as pd
import pytest

from flexnas_bench import (
    NotMeasuredError,
    Optimizer,
    OptionError,
    RunMismatchError,
    Store,
    TableCorruptError,
    Training,
    load_benchmark,
    load_space,
    search,
)
from flexnas_bench.searching.journal import journal_path
from flexnas_bench.searching.runs import RUNS, RUNS_FILE, read_runs, write_runs
from flexnas_bench.searching.settings import SearchSettings
from flexnas_bench.space import Choices, ListSpace

COLUMNS = [
    *("optimizer", "seed", "step", "card_hash", "value", "best"),
    *("cost_seconds", "finished_at", "ask_seconds", "origin"),
]


def repeatable(frame):
    """A run less the only column that is measured in real time."""
    return frame.drop(columns="ask_seconds")


def test_the_frame_is_what_was_looked_up(bench, pool):
    frame = search(bench, "random", pool, budget=30, seed=4).frame
    assert list(frame.columns) == COLUMNS
    assert frame["step"].tolist() == list(range(1, 31))
    for row in frame.itertuples():
        result = bench.query(row.card_hash)
        assert (row.value, row.cost_seconds, row.origin) == (result.value, result.cost_seconds, "published")
    assert frame["best"].tolist() == frame["value"].cummax().tolist()
    assert frame["finished_at"].tolist() == pytest.approx(frame["cost_seconds"].cumsum().tolist())
    assert frame["card_hash"].is_unique
    assert (frame["optimizer"] == "random").all()
    assert (frame["seed"] == 4).all()


def test_the_best_card_has_the_best_value(bench):
    run = search(bench, "random", "pool", task="rte", budget=25, seed=1)
    assert bench.query(run.best_card, "rte").value == run.frame["best"].iloc[-1] == run.frame["value"].max()


@pytest.mark.parametrize(("optimizer", "budget"), [("random", 25), ("boshnas", 12)])
def test_a_search_cut_anywhere_goes_on_as_if_nothing_had_happened(bench, tmp_path, optimizer, budget):
    whole = search(bench, optimizer, budget=budget, seed=2)
    out = tmp_path / "run"
    search(bench, optimizer, budget=budget, seed=2, out=out)
    path = journal_path(out, 2)
    content = path.read_bytes()
    for cut in (0, 1, len(content) // 3, len(content) - 3, len(content) - 200, len(content)):
        path.write_bytes(content[:cut])
        resumed = search(bench, optimizer, budget=budget, seed=2, out=out)
        pd.testing.assert_frame_equal(repeatable(resumed.frame), repeatable(whole.frame))
        assert resumed.best_card == whole.best_card
        assert resumed.converged_at == whole.converged_at


def test_what_is_finished_is_not_asked_again(bench, tmp_path):
    class Once(Optimizer):
        proposals = 0

        def propose(self, n, rng):
            Once.proposals += 1
            return self.draw_unseen(n, rng)

    for budget in (7, 7, 12):
        search(bench, Once, budget=budget, out=tmp_path / "run", initial=2)
    assert Once.proposals == 10
    assert len(search(bench, Once, budget=5, out=tmp_path / "run", initial=2).rows) == 5


def test_a_small_space_ends_a_search(bench, pool):
    small = ListSpace("small", pool.sample(6, seed=1), Choices())
    assert len(search(bench, "random", small, budget=50, initial=2).rows) == 6


def test_until_converged_stops_where_the_criterion_is_met(bench):
    full = search(bench, "random", budget=80, seed=3)
    stopped = search(bench, "random", budget=80, seed=3, until_converged=True)
    assert stopped.converged_at == full.converged_at == len(stopped.rows) < 80
    assert [row["card_hash"] for row in stopped.rows] == [row["card_hash"] for row in full.rows[: len(stopped.rows)]]


def test_until_converged_stops_also_where_more_is_written_down(bench, tmp_path):
    longer = search(bench, "random", budget=80, seed=3, out=tmp_path)
    again = search(bench, "random", budget=80, seed=3, out=tmp_path, until_converged=True)
    assert len(again.rows) == longer.converged_at
    assert again.converged_at == longer.converged_at


def test_a_folder_ends_with_one_table_of_all_its_seeds(bench, tmp_path):
    for seed in (1, 0):
        search(bench, "random", budget=4 + seed, seed=seed, out=tmp_path)
    frame = read_runs(tmp_path / RUNS_FILE)
    assert frame["seed"].tolist() == [0] * 4 + [1] * 5
    assert frame["step"].tolist() == [*range(1, 5), *range(1, 6)]
    assert not read_runs(tmp_path / RUNS_FILE)["best"].isna().any()


def test_an_unknown_cost_is_written_as_null(bench, tmp_path, monkeypatch):
    query = bench.query
    monkeypatch.setattr(bench, "query", lambda *card, **how: replace(query(*card, **how), cost_seconds=math.nan))
    search(bench, "random", budget=3, out=tmp_path)
    assert "NaN" not in journal_path(tmp_path, 0).read_text()
    assert search(bench, "random", budget=3, out=tmp_path).frame["cost_seconds"].isna().all()


def test_many_that_begin_together_share_a_folder(tmp_path):
    workers = 8
    barrier = Barrier(workers)

    def begin(out):
        barrier.wait()
        SearchSettings("random").claim(out)
        (out / "seed-0000.jsonl").touch()

    with ThreadPoolExecutor(workers) as pool:
        for attempt in range(60):
            list(pool.map(begin, [tmp_path / str(attempt)] * workers))  # raises what any of them raised


def test_of_two_that_differ_the_first_one_decides(tmp_path):
    SearchSettings("random").claim(tmp_path)
    with pytest.raises(RunMismatchError, match="its optimizer is 'random'"):
        SearchSettings("boshnas").claim(tmp_path)


def test_what_a_killed_process_left_does_not_block_a_folder(tmp_path):
    (tmp_path / ".settings.json.0123").write_text("half writ")
    SearchSettings("random").claim(tmp_path)
    SearchSettings("random").claim(tmp_path)


def test_labels_tell_settings_apart():
    usual = SearchSettings("boshnas")
    assert usual.label == "boshnas-pool-glue8"
    labels = {usual.label, *(SearchSettings("boshnas", options={"k1": k}).label for k in (0, 0.1))}
    assert len(labels) == 3


def test_a_failed_evaluation_is_written_down_and_survives_a_restart(bench, pool, tmp_path, monkeypatch):
    failing = pool.sample(40, seed=5)
    query = bench.query

    def fails(card, *rest, **how):
        result = query(card, *rest, **how)
        return replace(result, value=math.nan) if card in failing else result

    monkeypatch.setattr(bench, "query", fails)
    first = search(bench, "random", budget=491, out=tmp_path / "run")
    again = search(bench, "random", budget=491, out=tmp_path / "run")
    assert first.frame["value"].isna().sum() == 40
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert not first.frame["best"].iloc[60:].isna().any()
    assert "NaN" not in journal_path(tmp_path / "run", 0).read_text()


def test_a_space_with_gaps_is_refused(bench):
    with pytest.raises(NotMeasuredError, match="only 8 of the 9,312"):
        search(bench, "random", "g1", kind="table")
    with pytest.raises(OptionError, match="unknown task"):
        search(bench, "random", task="squad")
    with pytest.raises(OptionError, match="budget"):
        search(bench, "random", budget=0)


@pytest.mark.parametrize("change", [{"optimizer": "boshnas"}, {"task": "rte"}, {"initial": 3}, {"embedding": "other"}])
def test_a_folder_of_another_search_is_left_alone(bench, tmp_path, change):
    out = tmp_path / "run"
    search(bench, "random", budget=3, out=out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    settings = {"optimizer": "random", "budget": 3, "out": out} | change
    with pytest.raises((RunMismatchError, OptionError), match=r"holds another search|unknown embedding"):
        search(bench, **settings)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_a_folder_of_something_else_is_left_alone(bench, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunMismatchError, match="holds no search"):
        search(bench, "random", budget=3, out=tmp_path)
    with pytest.raises(RunMismatchError, match="is no folder"):
        search(bench, "random", budget=3, out=tmp_path / "thesis.tex")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "[]", "7"])
def test_unreadable_settings_are_refused(bench, tmp_path, text):
    search(bench, "random", budget=3, out=tmp_path / "run")
    (tmp_path / "run" / "settings.json").write_text(text)
    with pytest.raises(RunMismatchError):
        search(bench, "random", budget=3, out=tmp_path / "run")


@pytest.mark.parametrize("change", [{"card": {"l": 2}}, {"card": 3}, {"card_hash": "0" * 64}, {"value": 99.0}])
def test_a_journal_of_other_cards_is_refused(bench, tmp_path, change):
    out = tmp_path / "run"
    search(bench, "random", budget=3, out=out)
    path = journal_path(out, 0)
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps(json.loads(first) | change) + "\n" + "".join(rest))
    with pytest.raises(TableCorruptError, match=r"names a card|not the record|another value"):
        search(bench, "random", budget=3, out=out)


def test_given_cards_are_part_of_what_a_folder_remembers(bench, pool, tmp_path):
    a, b = pool.sample(2, seed=1)
    assert search(bench, "random", budget=3, out=tmp_path / "run", initial=[a]).rows[0]["card_hash"] == a.hash
    with pytest.raises(RunMismatchError, match="initial"):
        search(bench, "random", budget=3, out=tmp_path / "run", initial=[b])


def test_runs_round_trip(bench, tmp_path):
    runs = [search(bench, "random", budget=4, seed=seed) for seed in (0, 1)]
    write_runs(tmp_path / "runs.parquet", [row for run in runs for row in run.rows])
    frame = read_runs(tmp_path / "runs.parquet")
    assert list(frame.columns) == COLUMNS == RUNS.names
    pd.testing.assert_frame_equal(frame, pd.concat([run.frame for run in runs], ignore_index=True))


def test_pairs_of_optimizers_share_their_initial_cards(bench):
    first, second = (search(bench, name, budget=10, seed=5).frame for name in ("random", "boshnas"))
    assert first["card_hash"].tolist() == second["card_hash"].tolist()


def test_classes_of_one_name_do_not_share_a_folder(bench, tmp_path):
    def make(first):
        class Mine(Optimizer):
            def propose(self, n, rng):
                return self.draw_unseen(n, rng)

        Mine.__module__ = first
        return Mine

    search(bench, make("a"), budget=3, out=tmp_path / "run")
    with pytest.raises(RunMismatchError, match="its optimizer is 'a:"):
        search(bench, make("b"), budget=3, out=tmp_path / "run")
    for wrong in (int, Optimizer, 3, None):
        with pytest.raises(OptionError, match="not a subclass of Optimizer"):
            search(bench, wrong)


def test_an_option_as_its_default_is_no_other_search(bench, tmp_path):
    search(bench, "boshnas", budget=3, out=tmp_path / "run")
    search(bench, "boshnas", budget=3, out=tmp_path / "run", k1=0.5)
    with pytest.raises(RunMismatchError, match="options"):
        search(bench, "boshnas", budget=3, out=tmp_path / "run", k1=0.6)


def test_other_scores_are_another_search(bench, pool, tmp_path):
    search(bench, "random", budget=3, out=tmp_path / "run")
    store = Store(tmp_path / "store")
    store.append(Training(card=pool[0], protocol="electra-owt-100k", scores={"rte": 99.0}))
    search(load_benchmark(store=store.folder), "random", budget=3, out=tmp_path / "run")  # glue8 is as it was
    store.append(Training(card=pool[0], protocol="electra-owt-100k", scores={"glue8": 99.0}))
    for seed in (0, 1):
        with pytest.raises(RunMismatchError, match="had other scores, or scores of another origin"):
            search(load_benchmark(store=store.folder), "random", budget=3, seed=seed, out=tmp_path / "run")


def test_a_smaller_budget_leaves_what_the_journals_have(bench, tmp_path):
    search(bench, "random", budget=9, out=tmp_path)
    assert len(search(bench, "random", budget=4, out=tmp_path).rows) == 4
    assert len(read_runs(tmp_path / "runs.parquet")) == 9


def test_spaces_may_be_named_or_given(bench):
    named, given = search(bench, "random", "pool", budget=3), search(bench, "random", load_space("pool"), budget=3)
    assert named.frame["card_hash"].tolist() == given.frame["card_hash"].tolist()
