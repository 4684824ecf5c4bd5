"""Real trainings in real processes, which tests kill."""

import json
import os
import signal
import time
from itertools import pairwise

import pytest

from flexnas_bench import ModelCard, Store
from flexnas_bench.cli.app import run_app
from flexnas_bench.filling import fill as module
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending, folder_name
from flexnas_bench.filling.known import Known
from flexnas_bench.filling.local import LocalEngine
from flexnas_bench.filling.plan import Planner
from flexnas_bench.filling.planned import Planned
from flexnas_bench.loading import load_benchmark
from tests.conftest import SMALL
from tests.filling.conftest import CARDS, TASKS, complete
from tests.processes import Command


def test_a_killed_worker_is_replaced_and_its_training_goes_on(work, tmp_path):
    killed = []

    def kill(engine, folder):
        (crew,) = engine._crews
        if not killed and crew._busy and (folder / "tasks.jsonl").exists():
            killed.append(crew._busy[0].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    (outcome,) = fill(work, CARDS[:1], kill)
    assert killed
    assert outcome.ending == Ending.FINISHED
    assert complete(tmp_path / "store", CARDS[:1])


def fill(work, cards, tell=None, overlap=None):
    """Fills a table; a function is told of the engine and of the folder of the first card's training."""
    cards = [ModelCard.from_dict(card) for card in cards]
    work.prepare(TASKS)
    known = Known(load_benchmark(store=work.store), work.recipe.name)
    source = Planned(Planner(TASKS, known, work.folders, overlap), cards, [0])
    folder = work.folder(folder_name(cards[0], 0))
    with LocalEngine(work) as engine:
        return Filler(source, engine, work.folder, tell=tell and (lambda _: tell(engine, folder))).run()


def test_what_ails_one_training_stops_no_other_and_its_process_is_replaced(work, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.1)
    work.prepare(TASKS)
    folder = work.folder(folder_name(ModelCard.from_dict(CARDS[0]), 0))
    folder.mkdir(parents=True)
    (folder / "training.json").write_text("{")
    started, start = [], LocalEngine.start

    def noted(engine, job):
        start(engine, job)
        started.append((job.card, engine._crews[0]._busy[-1].process.pid))

    monkeypatch.setattr(LocalEngine, "start", noted)
    outcomes = {one.job.card: one for one in fill(work, CARDS)}
    first, second = (outcomes[ModelCard.from_dict(card)] for card in CARDS)
    assert (first.ending, second.ending) == (Ending.FAILED, Ending.FINISHED)
    assert "training.json is not readable" in first.why
    assert [card for card, _ in started].count(first.job.card) == 2  # it was tried again
    for (card, process), (_, later) in pairwise(started):
        assert (process == later) == (card == second.job.card)
    assert complete(tmp_path / "store", CARDS[1:])


def test_weights_go_from_a_donor_to_those_that_it_serves(work, tmp_path):
    deep = {name: value * 2 if isinstance(value, list) else 4 for name, value in SMALL.items()}
    donor, served = ModelCard.from_dict(deep), ModelCard.from_dict(SMALL)
    assert [(one.job.card, one.init) for one in fill(work, [SMALL, deep], overlap=0.8)] == [
        (donor, "scratch"),
        (served, donor.hash),
    ]
    assert fill(work, [SMALL, deep], overlap=0.8) == []
    (alone,) = fill(work, [SMALL, deep])
    assert (alone.job.card, alone.init) == (served, "scratch")
    assert work.folders.donors(0) == sorted([donor, served], key=lambda card: card.hash)
    assert work.folders.begun(0) == {served: donor}
    rows = Store(tmp_path / "store").rows()
    saved = {row["pretrain_seconds"] for row in rows if row["init"] != "scratch"}
    assert saved == {row["pretrain_seconds"] for row in rows if row["hash"] == donor.hash}


def begin(words, tmp_path, moment):
    """A command in a process of its own, after it has come to some moment."""
    driver = Command(words, tmp_path)
    driver.start()
    while not moment():
        assert driver.is_alive(), driver.errors
        time.sleep(0.05)
    return driver


def scores(folder):
    return Store(folder).rows() if Store(folder).exists() else []


def test_a_driver_killed_with_its_workers_goes_on(words, tmp_path, capsys):
    store = tmp_path / "store"
    driver = begin(words, tmp_path, lambda: scores(store))
    driver.kill()
    driver.join()
    assert not complete(store)
    time.sleep(1)  # for its workers to notice
    kept = scores(store)
    assert run_app([*words, "--json"]) == 0
    assert complete(store)
    assert all(row in scores(store) for row in kept)
    assert json.loads(capsys.readouterr().out)["left"] == 0


@pytest.mark.slow  # tests/test_store.py has many writers of one store, tests/cli/test_training.py two of one training
def test_two_commands_on_one_store_share_the_work(words, tmp_path):
    one = begin(words, tmp_path, lambda: list(tmp_path.rglob("training.json")))
    assert run_app(words) == 0
    one.join()
    assert one.exitcode == 0, one.errors
    assert complete(tmp_path / "store")


@pytest.mark.slow
def test_an_interrupted_one_ends_at_once_and_goes_on(words, tmp_path):
    driver = begin(words, tmp_path, lambda: scores(tmp_path / "store"))
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    driver.join(60)
    assert driver.exitcode == 130
    assert "the same command goes on from there" in driver.errors
    assert "Traceback" not in driver.errors
    assert run_app(words) == 0
    assert complete(tmp_path / "store")
