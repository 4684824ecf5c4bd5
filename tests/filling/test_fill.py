"""The loop, with an engine that does what it is told to."""

import pytest

from flexnas_bench import ModelCard
from flexnas_bench.filling import fill as module
from flexnas_bench.filling.failures import failures_of
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending
from flexnas_bench.filling.plan import Planner
from flexnas_bench.filling.planned import Planned
from tests.filling.conftest import Scripted, Table

NAMES = ("bert-tiny", "fnet-tiny", "convbert-tiny", "bert-4-128")
TINY, FNET, CONVBERT, DEEP = CARDS = [ModelCard.named(name) for name in NAMES]
DIED, FAILED, MEMORY, BUSY = Ending.DIED, Ending.FAILED, Ending.MEMORY, Ending.BUSY


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)


@pytest.fixture
def run(tmp_path):
    def fill(engine, cards=CARDS, overlap=None, table=None, **options):
        table = table or Table()
        source = Planned(Planner(["rte"], table, table, overlap), cards, [0])
        return Filler(source, engine, lambda name: tmp_path / name, **options).run()

    return fill


def folder(tmp_path, card):
    return tmp_path / f"{card.hash[:16]}-0"


def test_jobs_are_done_in_order_as_many_at_once_as_fit(run):
    engine = Scripted(room=2)
    outcomes = run(engine)
    assert engine.starts == CARDS
    assert [one.ending for one in outcomes] == [Ending.FINISHED] * 4
    assert engine.at_once == [[TINY], [TINY, FNET], [FNET, CONVBERT], [CONVBERT, DEEP]]


def test_one_that_is_killed_is_tried_again(run, tmp_path):
    engine = Scripted({FNET: [DIED]}, room=2)
    outcomes = run(engine)
    assert engine.starts.count(FNET) == 2
    assert {one.ending for one in outcomes} == {Ending.FINISHED}
    assert len(outcomes) == 4
    (failure,) = failures_of(folder(tmp_path, FNET))
    assert failure["why"] == "so it is"


def test_one_that_always_fails_is_given_up_for_good(run):
    engine = Scripted({FNET: [FAILED] * 9})
    outcomes = run(engine, attempts=3)
    assert engine.starts.count(FNET) == 3
    assert [one.ending for one in outcomes if one.job.card == FNET] == [FAILED]
    again = Scripted({FNET: [FAILED] * 9})
    (outcome,) = run(again, [FNET], attempts=3)
    assert again.starts == []
    assert outcome.why == "given up: so it is"
    (outcome,) = run(Scripted(), [FNET], attempts=4)
    assert outcome.ending == Ending.FINISHED, "another attempt is another chance"


def test_one_that_comes_further_each_time_is_not_given_up(run, tmp_path):
    class Slow(Scripted):
        def wait(self, seconds):
            place = folder(tmp_path, FNET)
            place.mkdir(exist_ok=True)
            with (place / "tasks.jsonl").open("a") as journal:
                journal.write("one more task\n")
            return super().wait(seconds)

    engine = Slow({FNET: [DIED] * 5})
    (outcome,) = run(engine, [FNET])
    assert outcome.ending == Ending.FINISHED
    assert engine.starts == [FNET] * 6


def test_one_that_ran_out_of_memory_is_tried_again_alone(run):
    engine = Scripted({FNET: [MEMORY]}, room=3)
    outcomes = run(engine)
    assert engine.starts[-1] == FNET
    assert engine.at_once[-1] == [FNET]
    assert {one.ending for one in outcomes} == {Ending.FINISHED}


def test_out_of_memory_beside_others_is_no_attempt_and_alone_it_is(run):
    engine = Scripted({FNET: [MEMORY, FAILED, MEMORY]}, room=3)
    outcomes = run(engine)
    assert engine.starts.count(FNET) == 3
    assert [one.ending for one in outcomes if one.job.card == FNET] == [MEMORY]


def test_who_wants_to_be_alone_is_left_alone_in_later_calls_too(run):
    engine = Scripted({CONVBERT: [MEMORY]}, room=2)
    started = []

    def stop(filler):
        started.extend(filler.started)
        if CONVBERT in engine.starts and not engine.script[CONVBERT]:
            filler.seconds = 0

    run(engine, tell=stop)
    assert engine.starts.count(CONVBERT) == 1, "time was up before"
    again = Scripted(room=2)
    run(again, [TINY, CONVBERT, FNET])
    assert again.starts == [TINY, FNET, CONVBERT]
    assert again.at_once[-1] == [CONVBERT]
    first = Scripted(room=2)
    run(first, [CONVBERT, TINY])
    assert first.at_once == [[CONVBERT], [TINY]]


def test_one_that_another_process_is_at_is_asked_for_again(run, tmp_path):
    engine = Scripted({TINY: [BUSY] * 3})
    outcomes = run(engine)
    assert engine.starts.count(TINY) == 4
    assert len(outcomes) == 4
    assert not failures_of(folder(tmp_path, TINY)), "which is nobody's failure"


@pytest.mark.parametrize("endings", [[], [MEMORY], [DIED]])
def test_who_takes_weights_waits_for_the_donor(run, endings):
    table = Table()
    engine = Scripted({DEEP: endings}, room=3, table=table)
    outcomes = run(engine, overlap=0.8, table=table)
    assert engine.starts[:3] == [DEEP, FNET, CONVBERT]
    assert engine.starts[-1] == TINY
    assert {one.job.card: one.job.donor for one in outcomes} == {DEEP: None, FNET: None, CONVBERT: None, TINY: DEEP}


def test_whose_donor_is_given_up_is_pre_trained(run):
    table = Table()
    engine = Scripted({DEEP: [FAILED, FAILED]}, table=table)
    outcomes = {one.job.card: one for one in run(engine, overlap=0.8, table=table)}
    assert outcomes[DEEP].ending == FAILED
    assert (outcomes[TINY].ending, outcomes[TINY].job.donor, outcomes[TINY].init) == ("finished", None, "scratch")


def test_nothing_is_begun_when_time_is_up(run):
    engine = Scripted()
    assert run(engine, seconds=0) == []
    assert engine.starts == []


def test_it_waits_for_machines_that_are_gone(run):
    engine = Scripted(room=0)

    def come(_):
        engine.room = 1

    assert len(run(engine, tell=come)) == 4


def test_it_says_what_is_left(run):
    told = []
    run(Scripted({FNET: [DIED]}), tell=lambda filler: told.append((len(filler.outcomes), filler.left)))
    assert told[:2] == [(1, 3), (1, 3)], "one that is to be tried again is left"
    assert all(done + left == 4 for done, left in told)
    assert told[-1] == (4, 0)


def test_trainings_of_another_process_keep_nobody_from_the_rest(run):
    engine = Scripted({card: [BUSY] * 400 for card in (TINY, FNET, CONVBERT)})

    def enough(filler):
        if DEEP in engine.starts:
            filler.seconds = 0

    run(engine, tell=enough)
    assert engine.starts.index(DEEP) == 3, "before any of the others is asked for again"
