import json
import sys
from collections import Counter

import pytest

from flexnas_bench import ModelCard, Store
from flexnas_bench.filling.worker import Work
from flexnas_bench.store import KEY
from tests.conftest import SMALL

KINDS = (["SDP", 5], ["WMA", 5], ["SDP", 9])
CARDS = [SMALL | {"p": kinds} for kinds in KINDS]
TASKS = ("rte", "wnli")


@pytest.fixture
def work(small_data, small_protocol, tmp_path):
    return Work(str(small_protocol), tmp_path / "store", small_data, "cpu")


@pytest.fixture
def command(small_data, small_protocol, tmp_path):
    (tmp_path / "cards.txt").write_text("".join(json.dumps(card) + "\n" for card in CARDS))
    words = ["fill", "--cards", tmp_path / "cards.txt", "--protocol", small_protocol, "--data", small_data]
    words += ["--tasks", ",".join(TASKS), "--store", tmp_path / "store", "--device", "cpu"]
    return [sys.executable, "-m", "flexnas_bench", *map(str, words)]


def complete(folder, cards=CARDS, tasks=TASKS):
    """Whether a store has each score of each card once."""
    rows = Store(folder).rows()
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows)
    there = Counter((row["hash"], row["task"]) for row in rows)
    return there == Counter((ModelCard.from_dict(card).hash, task) for card in cards for task in tasks)
