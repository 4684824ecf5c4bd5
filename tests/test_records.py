"""What rows say of a training, and the means of several."""

import pytest

from flexnas_bench import OptionError, Store, load_benchmark
from flexnas_bench.results import GLUE_METRICS
from tests.test_store import TINY, training


def test_a_mean_of_runs_of_one_task_each_cost_all_of_their_seconds(tmp_path):
    tasks = [*GLUE_METRICS, "wnli"]
    for i, task in enumerate(tasks):
        facts = {"run_id": f"run-{task}", "pretrain_seconds": 100.0, "finetune_seconds": float(i)}
        Store(tmp_path).append(training(protocol="mine", scores={task: 10.0 * i}, **facts))
    bench = load_benchmark(store=tmp_path)
    assert bench.query(TINY, "glue9", "mine").cost_seconds == 100 + 36
    assert bench.query(TINY, "glue8", "mine").cost_seconds == 100 + 28
    assert bench.query(TINY, "wnli", "mine").cost_seconds == 108


@pytest.mark.parametrize("name", ["protocol_hash", "packages", "note"])
def test_what_a_row_says_besides_is_text(name):
    assert training(**{name: "diverged at step 3"}).rows()[0][name] == "diverged at step 3"
    for wrong in (3, "", "two\nlines"):
        with pytest.raises(OptionError, match=rf"{name}: .* is no name"):
            training(**{name: wrong})
