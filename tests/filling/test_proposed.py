import math

import pytest

from flexnas_bench import make_optimizer
from flexnas_bench.distance.overlap import overlap_fraction
from flexnas_bench.errors import BusyError, TableCorruptError
from flexnas_bench.filling import fill as module
from flexnas_bench.filling.fill import Filler
from flexnas_bench.filling.job import Ending, Outcome
from flexnas_bench.filling.plan import Planner
from flexnas_bench.filling.proposed import Proposals, Proposed
from flexnas_bench.results import SCRATCH, tasks_of
from tests.filling.conftest import Scripted, Table

GLUE8 = tasks_of("glue8")


@pytest.fixture
def journal(tmp_path):
    with Proposals(tmp_path / "proposals.jsonl") as proposals:
        yield proposals


def propose(pool, journal, limit=math.inf, tasks=("rte",), table=None, optimizer=None, overlap=None):
    table, optimizer = table or Table(), optimizer or make_optimizer("random", space=pool, seed=0)
    return Proposed(optimizer, limit, Planner(tasks, table, table, overlap), table, journal), optimizer


def test_an_optimizer_is_told_means_and_failures(pool, journal):
    source, optimizer = propose(pool, journal, 3, GLUE8)
    jobs = [source.next() for _ in range(3)]
    assert source.next() is None
    assert len({job.card for job in jobs}) == 3
    assert all(job.tasks == GLUE8 for job in jobs)
    source.ended(Outcome(jobs[0], Ending.FINISHED, scores=dict(zip(GLUE8, range(8), strict=True)), init=SCRATCH))
    source.ended(Outcome(jobs[1], Ending.FAILED))
    assert optimizer.values[0] == 3.5
    assert math.isnan(optimizer.values[1])


def test_scores_that_are_there_are_not_trained_again_and_count(pool, journal):
    optimizer = make_optimizer("random", space=pool, seed=0)
    half = {(pool[i], 0): {SCRATCH: {"rte": 8.0, "cola": 0.0}} for i in range(pool.size)}
    source, _ = propose(pool, journal, 1, GLUE8, Table(half), optimizer)
    job = source.next()
    assert len(job.tasks) == 6
    assert not {"rte", "cola"} & set(job.tasks)
    source.ended(Outcome(job, Ending.FINISHED, scores=dict.fromkeys(job.tasks, 4.0), init=SCRATCH))
    assert optimizer.values == [4.0]


def test_it_is_told_at_the_start_what_is_complete(pool, journal):
    scores = {
        (pool[1], 0): {SCRATCH: {"rte": 60.0}, "x" * 64: {"rte": 1.0}},
        (pool[2], 0): {"y" * 64: {"rte": 55.0}},
        (pool[3], 0): {SCRATCH: {"cola": 1.0}},
        (pool[4], 1): {SCRATCH: {"rte": 1.0}},
    }
    _, optimizer = propose(pool, journal, table=Table(scores), overlap=0.8)
    assert dict(zip(optimizer.indices, optimizer.values, strict=True)) == {1: 60.0, 2: 55.0}
    _, optimizer = propose(pool, journal, table=Table(scores))
    assert optimizer.indices == [1], "from scratch only"


def test_the_limit_counts_proposals_of_all_calls(pool, journal, tmp_path):
    source, _ = propose(pool, journal, 2)
    assert len(Filler(source, Scripted(), lambda name: tmp_path / name).run()) == 2
    done = {(card, 0): {SCRATCH: {"rte": 50.0}} for card in journal.cards}
    source, _ = propose(pool, journal, 2, table=Table(done))
    assert source.next() is None
    source, optimizer = propose(pool, journal, 3, table=Table(done))
    assert source.next().card not in [card for card, _ in done]
    assert source.next() is None
    assert optimizer.values == [50.0, 50.0]


def test_what_was_not_finished_comes_first_as_far_as_the_limit_goes(pool, journal):
    source, _ = propose(pool, journal, 3)
    asked = [source.next().card for _ in range(3)]
    source, _ = propose(pool, journal, 2)
    assert [job.card for job in source.left] == asked[:2]
    assert [source.next().card for _ in range(2)] == asked[:2]
    assert source.next() is None
    source, _ = propose(pool, journal)
    jobs = []
    while (job := source.next()) is not None:
        jobs.append(job.card)
    assert jobs[:3] == asked
    assert len(set(jobs)) == len(jobs) == pool.size
    assert len(journal.cards) == pool.size


def test_one_that_was_given_up_is_told_in_the_next_call(pool, journal, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    source, _ = propose(pool, journal, 1)
    card = make_optimizer("random", space=pool, seed=0).ask()[0]
    (outcome,) = Filler(source, Scripted({card: [Ending.FAILED] * 2}), lambda name: tmp_path / name).run()
    assert outcome.ending == Ending.FAILED
    source, optimizer = propose(pool, journal, 2)
    engine = Scripted()
    outcomes = Filler(source, engine, lambda name: tmp_path / name).run()
    assert [one.ending for one in outcomes] == [Ending.FAILED, Ending.FINISHED]
    assert engine.starts != [card]
    assert math.isnan(optimizer.values[0])
    assert optimizer.values[1] == 50.0


def test_proposals_start_from_weights_that_are_there(pool, journal):
    deep = next(pool[i] for i in range(pool.size) if pool[i].num_layers == 4)
    source, _ = propose(pool, journal, table=Table(trained=[deep]), overlap=0.5)
    donors = {}
    while (job := source.next()) is not None:
        donors[job.card] = job.donor
    served = {card for card, donor in donors.items() if donor == deep}
    assert served == {card for card in donors if card != deep and overlap_fraction(card, deep) >= 0.5}
    assert len(served) > 1


def test_a_journal_of_proposals_is_one_searchs_and_read_with_care(tmp_path, journal):
    with pytest.raises(BusyError), Proposals(journal.path, patience=0.0):
        pass
    (tmp_path / "other.jsonl").write_text('{"card": 3}\n')
    with pytest.raises(TableCorruptError, match="line 1"), Proposals(tmp_path / "other.jsonl"):
        pass


def test_it_waits_for_machines_that_come_later(pool, journal, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)
    engine = Scripted(room=0)

    def come(_):
        engine.room = 1

    source, _ = propose(pool, journal, 3)
    assert len(Filler(source, engine, lambda name: tmp_path / name, tell=come).run()) == 3


def test_one_that_ran_out_of_memory_gets_its_turn_alone_though_the_optimizer_could_go_on(pool, journal, tmp_path):
    first = make_optimizer("random", space=pool, seed=0).ask()[0]
    engine = Scripted({first: [Ending.MEMORY]}, room=2)
    source, optimizer = propose(pool, journal, 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AGAIN_SECONDS", 0.0)
        outcomes = Filler(source, engine, lambda name: tmp_path / name).run()
    assert len(outcomes) == len(optimizer.values) == 9
    assert [first] in engine.at_once[1:]
    assert engine.starts.index(first, 1) < 5, "long before the last"
