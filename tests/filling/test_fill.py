"""The loop, with an engine that does what it is told to."""

import math

import pytest

from flexnas_bench import ModelCard, make_optimizer
from flexnas_bench.filling import fill as module
from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.failures import failures_of
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending, Job, Outcome
from flexnas_bench.filling.source import Planned, Proposed

NAMES = ("bert-tiny", "fnet-tiny", "convbert-tiny", "bert-mini")
CARDS = [ModelCard.named(name) for name in NAMES]
JOBS = [Job(card, ("rte",)) for card in CARDS]


class Scripted(Engine):
    """Ends jobs first come, first served; how, a script says for each start of each card."""

    def __init__(self, room=1, **script):
        self.room, self.script = room, {name.replace("_", "-"): list(endings) for name, endings in script.items()}
        self.starts, self.at_once, self._running = [], [], []

    @property
    def free(self):
        return len(self._running) < self.room

    def start(self, job):
        name = NAMES[CARDS.index(job.card)] if job.card in CARDS else job.card.hash
        self.starts.append(name)
        self._running.append((name, job))
        self.at_once.append([one for one, _ in self._running])

    def wait(self, seconds):
        name, job = self._running.pop(0)
        ending = self.script.get(name, []).pop(0) if self.script.get(name) else Ending.FINISHED
        scores = dict.fromkeys(job.tasks, 50.0) if ending == Ending.FINISHED else {}
        return [Outcome(job, ending, 1.0, scores, why="" if scores else "so it is")]

    @property
    def running(self):
        return [job for _, job in self._running]

    where = "nowhere"

    def close(self):
        pass


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.02)


def run(engine, folder, jobs=JOBS, **options):
    return Filler(Planned(jobs), engine, lambda name: folder / name, **options).run()


def test_jobs_are_done_in_order_as_many_at_once_as_fit(tmp_path):
    engine = Scripted(room=2)
    outcomes = run(engine, tmp_path)
    assert engine.starts == list(NAMES)
    assert [one.ending for one in outcomes] == [Ending.FINISHED] * 4
    assert engine.at_once == [
        ["bert-tiny"],
        ["bert-tiny", "fnet-tiny"],
        ["fnet-tiny", "convbert-tiny"],
        ["convbert-tiny", "bert-mini"],
    ]


def test_one_that_is_killed_is_tried_again(tmp_path):
    engine = Scripted(room=2, fnet_tiny=[Ending.DIED])
    outcomes = run(engine, tmp_path)
    assert engine.starts.count("fnet-tiny") == 2
    assert {one.ending for one in outcomes} == {Ending.FINISHED}
    assert len(outcomes) == 4
    (failure,) = failures_of(tmp_path / JOBS[1].name)
    assert failure["why"] == "so it is"


def test_one_that_always_fails_is_given_up_for_good(tmp_path):
    engine = Scripted(fnet_tiny=[Ending.FAILED] * 9)
    outcomes = run(engine, tmp_path, attempts=3)
    assert engine.starts.count("fnet-tiny") == 3
    assert [one.ending for one in outcomes if one.job.card == CARDS[1]] == [Ending.FAILED]
    again = Scripted(fnet_tiny=[Ending.FAILED] * 9)
    (outcome,) = run(again, tmp_path, [JOBS[1]], attempts=3)
    assert again.starts == []
    assert outcome.why == "given up: so it is"
    more = Scripted()
    (outcome,) = run(more, tmp_path, [JOBS[1]], attempts=4)
    assert outcome.ending == Ending.FINISHED, "another attempt is another chance"


def test_one_that_ran_out_of_memory_is_tried_again_alone(tmp_path):
    engine = Scripted(room=3, fnet_tiny=[Ending.MEMORY])
    outcomes = run(engine, tmp_path)
    assert engine.starts[-1] == "fnet-tiny"
    assert engine.at_once[-1] == ["fnet-tiny"]
    assert {one.ending for one in outcomes} == {Ending.FINISHED}


def test_one_that_another_process_is_at_is_asked_for_again(tmp_path):
    engine = Scripted(bert_tiny=[Ending.BUSY] * 3)
    outcomes = run(engine, tmp_path)
    assert engine.starts.count("bert-tiny") == 4
    assert len(outcomes) == 4
    assert not failures_of(tmp_path / JOBS[0].name), "which is nobody's failure"


@pytest.mark.parametrize("endings", [[], [Ending.MEMORY], [Ending.FAILED, Ending.FAILED]])
def test_who_takes_weights_waits_for_the_donor(tmp_path, endings):
    donor, served = CARDS[3], CARDS[0]
    jobs = [Job(donor, ("rte",)), Job(served, ("rte",), donor=donor), Job(CARDS[1], ("rte",))]
    engine = Scripted(room=3, bert_mini=endings)
    outcomes = run(engine, tmp_path, jobs)
    assert engine.starts[:2] == ["bert-mini", "fnet-tiny"]
    assert engine.starts[-1] == "bert-tiny"
    assert len(outcomes) == 3


def test_nothing_is_begun_when_time_is_up(tmp_path):
    engine = Scripted()
    assert run(engine, tmp_path, seconds=0) == []
    assert engine.starts == []


def test_it_waits_for_machines_that_are_gone(tmp_path):
    engine = Scripted(room=0)

    def come(_):
        engine.room = 1

    outcomes = run(engine, tmp_path, tell=come)
    assert len(outcomes) == 4


def test_scores_that_are_there_are_not_trained_again_and_count(pool):
    optimizer = make_optimizer("random", space=pool, seed=0)
    source = Proposed(optimizer, "glue8", 1, lambda card: {"rte": 8.0, "cola": 0.0})
    job = source.next()
    assert len(job.tasks) == 6
    assert not {"rte", "cola"} & set(job.tasks)
    source.ended(Outcome(job, Ending.FINISHED, scores=dict.fromkeys(job.tasks, 4.0)))
    assert optimizer.values == [4.0]


def test_an_optimizer_is_told_means_and_failures(tmp_path, pool):
    optimizer = make_optimizer("random", space=pool, seed=0)
    source = Proposed(optimizer, "glue8", 3, lambda card: {})
    jobs = [source.next() for _ in range(3)]
    assert source.next() is None
    assert len({job.card for job in jobs}) == 3
    assert all(len(job.tasks) == 8 for job in jobs)
    source.ended(Outcome(jobs[0], Ending.FINISHED, scores=dict(zip(jobs[0].tasks, range(8), strict=True))))
    source.ended(Outcome(jobs[1], Ending.FAILED))
    assert optimizer.values[0] == 3.5
    assert math.isnan(optimizer.values[1])


def test_it_ends_at_the_limit_whatever_was_left_unfinished(tmp_path, pool):
    source = Proposed(
        make_optimizer("random", space=pool), "rte", 1, lambda card: {}, [Job(pool[i], ("rte",)) for i in range(3)]
    )
    outcomes = Filler(source, Scripted(), lambda name: tmp_path / name).run()
    assert len(outcomes) == 1
    assert not source.left


def test_what_was_left_unfinished_comes_first_and_is_not_proposed(pool):
    optimizer = make_optimizer("random", space=pool, seed=0, initial=1)
    left = Job(pool[7], ("rte",))
    source = Proposed(optimizer, "rte", math.inf, lambda card: {}, [left])
    jobs = []
    while (job := source.next()) is not None:
        jobs.append(job)
    assert jobs[0] is left
    assert len({job.card for job in jobs}) == len(jobs) == pool.size
