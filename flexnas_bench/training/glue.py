"""The nine tasks of GLUE (Wang et al. 2018): their data, from a folder of files or from the hub, and their metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flexnas_bench.errors import DataError, OptionError, first_line, shown
from flexnas_bench.results import METRICS

HUB_NAME = "nyu-mll/glue"


@dataclass(frozen=True)
class Task:
    """A task of GLUE.

    Attributes:
        name: as in tables of results, and the folder of its files.
        columns: of its sentences, one or two.
        labels: number of classes; 1 for a regression.
        development: name of the split that scores are of.
    """

    name: str
    columns: tuple[str, ...]
    labels: int = 2
    development: str = "validation"

    @property
    def metric(self) -> str:
        """`matthews`, `spearman` or `accuracy`."""
        return METRICS[self.name]

    def score(self, logits: NDArray[np.floating[Any]], labels: NDArray[Any]) -> float:
        """The metric of predictions in points, -100 to 100; NaN where it is not defined, or a logit is not a number.

        Args:
            logits: `n x labels`.
            labels: `n`.
        """
        if not np.isfinite(logits).all():
            return float("nan")
        if self.metric == "spearman":
            from scipy.stats import spearmanr

            constant = np.ptp(logits) == 0 or np.ptp(labels) == 0
            return float("nan") if constant else 100 * float(spearmanr(logits[:, 0], labels).statistic)
        predicted = logits.argmax(1)
        if self.metric == "matthews":
            from sklearn.metrics import matthews_corrcoef

            if np.ptp(labels) == 0 or np.ptp(predicted) == 0:
                return 0.0  # as there, but without its warning
            return 100 * float(matthews_corrcoef(labels, predicted))
        return 100 * float((predicted == labels).mean())


#: The tasks by name.
TASKS = {
    task.name: task
    for task in (
        Task("cola", ("sentence",)),
        Task("mnli", ("premise", "hypothesis"), labels=3, development="validation_matched"),
        Task("mrpc", ("sentence1", "sentence2")),
        Task("qnli", ("question", "sentence")),
        Task("qqp", ("question1", "question2")),
        Task("rte", ("sentence1", "sentence2")),
        Task("sst2", ("sentence",)),
        Task("stsb", ("sentence1", "sentence2"), labels=1),
        Task("wnli", ("sentence1", "sentence2")),
    )
}


@dataclass(frozen=True)
class Examples:
    """Labelled sentences, or pairs of them.

    Attributes:
        sentences: a list for each column of the task.
        labels: classes as int64, or float32 for a regression.
    """

    sentences: tuple[list[str], ...]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, count: int, seed: int) -> Examples:
        """So many of them, drawn without replacement; all where there are no more."""
        if count >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), count, replace=False))
        return Examples(tuple([column[i] for i in chosen] for column in self.sentences), self.labels[chosen])


def task_of(name: str) -> Task:
    """The task of a name; raises `OptionError` for another."""
    if name not in TASKS:
        raise OptionError(f"unknown task {shown(name)}; GLUE has {', '.join(TASKS)}")
    return TASKS[name]


def read_task(task: Task, data: Path | None = None) -> tuple[Examples, Examples]:
    """The training and the development set of a task.

    Args:
        task: which.
        data: folder with `glue/TASK/train.parquet` and so on; from the hub (the extra `data`) if not given.

    Raises:
        DataError: a file is missing, damaged, or not of the task.
    """
    train, development = (_read_split(task, split, data) for split in ("train", task.development))
    return train, development


def _read_split(task: Task, split: str, data: Path | None) -> Examples:
    if data is None:
        where, table = f"{HUB_NAME} {task.name}/{split}", _from_hub(task.name, split)
    else:
        path = data / "glue" / task.name / f"{split}.parquet"
        where, table = str(path), _from_file(path)
    if missing := {*task.columns, "label"} - set(table.column_names):
        raise DataError(f"{where}: no column {min(missing)}, which {task.name} has")
    sentences = [_sentences(where, name, table[name].to_pylist()) for name in task.columns]
    return Examples(tuple(sentences), _labels(where, task, table["label"].to_pylist()))


def _from_file(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, memory_map=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a whole Parquet file: {first_line(error)}") from None


def _from_hub(name: str, split: str) -> pa.Table:
    try:
        import datasets
    except ImportError:
        raise DataError("GLUE from the hub needs the extra `data`; or name a folder that has it") from None
    return datasets.load_dataset(HUB_NAME, name, split=split).data.table


def _sentences(where: str, column: str, values: Sequence[object]) -> list[str]:
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise DataError(f"{where}: row {row + 1}, column {column}: {shown(value)} is no text")
    return list(values)  # type: ignore[arg-type]  # all are text


def _labels(where: str, task: Task, values: Sequence[Any]) -> NDArray[Any]:
    if not values:
        raise DataError(f"{where}: no rows")
    for row, value in enumerate(values):
        regression = task.labels == 1 and isinstance(value, int | float) and 0 <= value <= 5
        if not regression and not (task.labels > 1 and isinstance(value, int) and 0 <= value < task.labels):
            raise DataError(f"{where}: row {row + 1}: {shown(value)} is no label of {task.name}")
    return np.array(values, dtype=np.float32 if task.labels == 1 else np.int64)
