import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import OptionError
from flexnas_bench.errors import DataError
from flexnas_bench.results import METRICS
from flexnas_bench.training.glue import TASKS, Examples, read_task, task_of

#: Rows of the training and development sets at hand; those with a star are parts.
ROWS = {
    "cola": (8551, 1043),
    "sst2": (67349, 872),
    "mrpc": (3668, 408),
    "stsb": (5749, 1500),
    "rte": (2490, 277),
    "wnli": (635, 71),
    "qnli": (9999, 5463),
    "mnli": (12925, 9815),
    "qqp": (11950, 7600),
}


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_read_as_they_are(data, name):
    task = TASKS[name]
    train, development = read_task(task, data)
    assert (len(train), len(development)) == ROWS[name]
    for examples in (train, development):
        assert len(examples.sentences) == len(task.columns)
        assert all(len(column) == len(examples) for column in examples.sentences)
        if task.labels > 1:
            assert set(np.unique(examples.labels)) == set(range(task.labels))
        else:
            assert 0 <= examples.labels.min() < examples.labels.max() == 5


def test_the_names_are_those_of_the_tables():
    assert set(TASKS) == set(METRICS) - {"glue8", "glue9"}
    with pytest.raises(OptionError, match="unknown task 'snli'; GLUE has cola, mnli"):
        task_of("snli")


def matthews(labels, predicted):
    """The closed form over the confusion matrix of two classes."""
    tp, tn, fp, fn = (((labels == a) & (predicted == b)).sum() for a, b in ((1, 1), (0, 0), (0, 1), (1, 0)))
    below = float(tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return 0.0 if below == 0 else (float(tp) * tn - float(fp) * fn) / math.sqrt(below)


def spearman(a, b):
    """Pearson's correlation of mean ranks."""

    def ranks(values):
        return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])

    return np.corrcoef(ranks(a), ranks(b))[0, 1]


@given(seed=st.integers(0, 10**6), n=st.integers(3, 40))
def test_scores_are_those_of_the_formulas(seed, n):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n, 2)), rng.integers(0, 2, n)
    predicted = (logits[:, 1] > logits[:, 0]).astype(int)
    assert TASKS["cola"].score(logits, labels) == pytest.approx(100 * matthews(labels, predicted))
    assert TASKS["rte"].score(logits, labels) == pytest.approx(100 * np.mean(labels == predicted))
    values, known = np.round(rng.normal(size=(n, 1)), 1), np.round(rng.uniform(0, 5, n), 0)
    if np.ptp(known) and np.ptp(values):
        assert TASKS["stsb"].score(values, known) == pytest.approx(100 * spearman(values[:, 0], known))


@pytest.mark.parametrize("name", ["cola", "stsb", "rte"])
def test_what_is_not_a_number_scores_nothing(name):
    logits = np.full((4, TASKS[name].labels), np.nan)
    assert math.isnan(TASKS[name].score(logits, np.array([0, 1, 0, 1])))


def test_a_constant_answer_has_no_rank_correlation():
    assert math.isnan(TASKS["stsb"].score(np.ones((3, 1)), np.array([1.0, 2.0, 3.0])))
    assert TASKS["cola"].score(np.array([[0.0, 1.0]] * 4), np.array([0, 1, 1, 1])) == 0


@given(count=st.integers(0, 12), seed=st.integers(0, 99))
def test_a_subset_is_drawn_without_replacement(count, seed):
    examples = Examples(([str(i) for i in range(9)],), np.arange(9))
    subset = examples.subset(count, seed)
    assert len(subset) == min(count, 9) == len(set(subset.labels))
    assert subset.sentences[0] == [str(i) for i in subset.labels]
    assert (subset.labels == examples.subset(count, seed).labels).all()


def write(folder, columns, split="train"):
    path = folder / "glue" / "rte" / f"{split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


GOOD = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": [0, 1]}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"sentence1": ["a"], "label": [0]}, "no column sentence2, which rte has"),
        (GOOD | {"label": [0, 2]}, "row 2: 2 is no label of rte"),
        (GOOD | {"label": [-1, 0]}, "row 1: -1 is no label of rte"),
        (GOOD | {"label": [0.0, 1.0]}, "row 1: 0.0 is no label of rte"),
        (GOOD | {"sentence2": ["c", None]}, "row 2, column sentence2: None is no text"),
        ({name: values[:0] for name, values in GOOD.items()}, "no rows"),
    ],
)
def test_files_of_something_else_are_refused_in_one_line(tmp_path, columns, reason):
    write(tmp_path, columns)
    with pytest.raises(DataError, match=reason) as caught:
        read_task(TASKS["rte"], tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match=r"rte/train\.parquet: no such file"):
        read_task(TASKS["rte"], tmp_path)
    path = write(tmp_path, GOOD)
    with pytest.raises(DataError, match=r"rte/validation\.parquet: no such file"):
        read_task(TASKS["rte"], tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"rte/train\.parquet: not a whole Parquet file"):
        read_task(TASKS["rte"], tmp_path)
