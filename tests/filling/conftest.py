import json
from collections import Counter

import pytest

from flexnas_bench import ModelCard, Store
from flexnas_bench.filling.engine import Engine
from flexnas_bench.filling.job import Ending, Outcome
from flexnas_bench.filling.worker import Work
from flexnas_bench.results import SCRATCH
from flexnas_bench.store import KEY
from tests.conftest import SMALL

KINDS = (["SDP", 5], ["WMA", 5])
CARDS = [SMALL | {"p": kinds} for kinds in KINDS]
TASKS = ("rte", "wnli")


@pytest.fixture
def work(small_data, small_protocol, tmp_path):
    return Work(str(small_protocol), tmp_path / "store", small_data, "cpu")


@pytest.fixture
def words(small_data, small_protocol, tmp_path):
    """Of a command that fills a table."""
    (tmp_path / "cards.txt").write_text("".join(json.dumps(card) + "\n" for card in CARDS))
    words = ["fill", "--cards", tmp_path / "cards.txt", "--protocol", small_protocol, "--data", small_data]
    words += ["--tasks", ",".join(TASKS), "--store", tmp_path / "store", "--device", "cpu"]
    return list(map(str, words))


def complete(folder, cards=CARDS, tasks=TASKS):
    """Whether a store has each score of each card once."""
    rows = Store(folder).rows()
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows)
    there = Counter((row["hash"], row["task"]) for row in rows)
    return there == Counter((ModelCard.from_dict(card).hash, task) for card in cards for task in tasks)


class Table:
    """Stands for scores and for a folder of trainings."""

    def __init__(self, scores=(), trained=(), begun=()):
        self._scores, self.trained, self._begun = dict(scores), list(trained), dict(begun)

    def scores(self, card, replicate):
        return self._scores.get((card, replicate), {})

    def trainings(self, card, replicate):
        return sorted(self.scores(card, replicate).items(), key=lambda one: one[0] != SCRATCH)

    def cards(self, replicate):
        return [card for card, number in self._scores if number == replicate]

    def has_weights(self, card, replicate):
        return card in self.trained

    def donors(self, replicate):
        return self.trained

    def begun(self, replicate):
        return {card: donor for card, donor in self._begun.items() if donor in self.trained}


class Scripted(Engine):
    """Ends jobs first come, first served; how, a script says for each start of each card.

    Cards that it has pre-trained it adds to those of a table that have weights.
    """

    def __init__(self, script=(), room=1, table=None):
        super().__init__()
        self.room, self.script = room, {card: list(endings) for card, endings in dict(script).items()}
        self.starts, self.at_once, self._table = [], [], table or Table()

    @property
    def free(self):
        return len(self._jobs) < self.room

    def start(self, job):
        self.starts.append(job.card)
        self._jobs[job.name] = job
        self.at_once.append([one.card for one in self.running])

    def wait(self, seconds):
        job = self._jobs.pop(next(iter(self._jobs)))
        ending = self.script[job.card].pop(0) if self.script.get(job.card) else Ending.FINISHED
        if ending != Ending.FINISHED:
            return [Outcome(job, ending, 1.0, why="so it is")]
        if job.donor is None:
            self._table.trained.append(job.card)
        init = SCRATCH if job.donor is None else job.donor.hash
        return [Outcome(job, ending, 1.0, dict.fromkeys(job.tasks, 50.0), init)]

    where = "nowhere"

    def close(self):
        pass
