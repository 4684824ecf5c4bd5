"""Tables and figures of the FlexiBERT paper, as numbers: for overlays marked "as published", never as scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import OptionError
from flexnas_bench.published.trainings import FLEXIBERT
from flexnas_bench.rows import Row, read_rows
from flexnas_bench.storage import read_shipped, table_schema

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = "flexibert_2023"
_PARSERS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "int": int,
    "real": lambda text: _finite(float(text)),
    "card": lambda text: ModelCard.from_json(text).to_json(),
}


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{number} is no figure")
    return number


_GLUE9 = ("CoLA", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI")
_FEATURES = (
    *("sa_sdp", "sa_wma", "conv", "lt_dft", "lt_dct"),
    *("flexible_num_attn_ops", "flexible_ff_stacks", "adaptive_width", "full_flexibility"),
)
_CURVES = {
    "technique": "text",
    "models_trained": "real",
    "best_glue": "real",
    "ci_low": "real",
    "ci_high": "real",
}


@dataclass(frozen=True)
class Figure:
    """A published table or figure.

    Attributes:
        title: what it shows.
        files: CSV files that make it up, below one another.
        columns: kind of each column: `text`, `int`, `real` or `card`; a trailing `?` allows nothing.
        source: key of `sources.toml`.
    """

    title: str
    files: tuple[str, ...]
    columns: dict[str, str]
    source: str = FLEXIBERT

    @property
    def schema(self) -> pa.Schema:
        """Columns of the shipped table: those published and `source`."""
        kinds = {name: kind.replace("card", "text") for name, kind in self.columns.items()}
        return table_schema(**kinds, source="text")

    def read(self, folder: Path) -> pa.Table:
        """The table of what is published in `folder`; raises `TableCorruptError` as `read_rows` does."""
        rows = [row for name in self.files for row in read_rows(folder / _FOLDER / name, self._parse)]
        return pa.Table.from_pylist(rows, schema=self.schema)

    def _parse(self, row: Row) -> dict[str, Any]:
        parsed: dict[str, Any] = {"source": self.source}
        for name, kind in self.columns.items():
            empty = row[name] == "" and kind.endswith("?")
            parsed[name] = None if empty else _PARSERS[kind.rstrip("?")](row[name])
        return parsed


FIGURES = {
    "table1": Figure(
        "Frameworks compared by what their design spaces allow",
        ("table1.csv",),
        {"framework": "text", **dict.fromkeys(_FEATURES, "int"), "search": "text"},
    ),
    "table2": Figure("The design space", ("table2.csv",), {"design_element": "text", "allowed_values": "text"}),
    "table3": Figure(
        "FlexiBERT-Mini, its ablations and rivals on the GLUE development sets",
        ("table3.csv",),
        {"model": "text", "params_M": "real", **dict.fromkeys((*_GLUE9, "Avg", "recomputed_mean_of_9"), "real")},
    ),
    "table4": Figure(
        "FlexiBERT-Large and rivals",
        ("table4.csv",),
        {"model": "text", "params_M": "real", "glue_score_9_tasks": "real?", "glue_score_8_tasks_no_WNLI": "real?"},
    ),
    "table5": Figure(
        "FlexiBERT-Mini after transfer, pre-training and a larger budget",
        ("table5.csv",),
        {
            "model": "text",
            "variant": "text",
            "pretraining_data": "text",
            "pretraining_steps": "int",
            "finetuning_epochs": "int",
            "glue_score": "real",
        },
    ),
    "table6": Figure(
        "Fine-tuning settings of FlexiBERT-Mini",
        ("table6.csv",),
        {"task": "text", "learning_rate": "real", "batch_size": "int"},
    ),
    "fig3": Figure(
        "Best score of six techniques with three embeddings and spaces, 90 % intervals",
        ("fig3.csv",),
        {
            **dict.fromkeys(("panel", "embedding", "space", "technique"), "text"),
            **dict.fromkeys(("glue_score", "ci_low", "ci_high"), "real"),
        },
    ),
    "fig4": Figure(
        "Best score against models trained: techniques (4a) and ablations of BOSHNAS (4b), 90 % intervals",
        ("fig4a.csv", "fig4b.csv"),
        {"panel": "text", **_CURVES},
    ),
    "fig5": Figure(
        "Score against parameters, of expanded and homogeneous models",
        ("fig5.csv",),
        {
            "series": "text",
            "model_parameters": "int",
            "glue_score": "real",
            "also_plotted_as_homogeneous": "int",
            "candidates_in_G1": "int",
            "model_card_if_unique": "card?",
        },
    ),
    "fig7": Figure(
        "GPU-hours of a training with and without knowledge transfer, 90 % intervals",
        ("fig7.csv",),
        {"panel": "text", **dict.fromkeys(("gpu_hours", "ci_low", "ci_high"), "real")},
    ),
}


def table_path(name: str) -> str:
    """Path of a figure's shipped table in the data folder."""
    return f"published/{name}.parquet"


def load_published(name: str) -> pd.DataFrame:
    """A published table or figure as numbers, columns as in its file and `source`.

    Their scale is their own: the models behind Figures 3 to 5 and the protocol of their scores are not public.

    >>> load_published("table6").set_index("task").loc["RTE", "batch_size"]
    np.int64(128)

    Args:
        name: `table1` to `table6`, `fig3`, `fig4`, `fig5` or `fig7`.

    Raises:
        OptionError: for another name.
    """
    if name not in FIGURES:
        raise OptionError(f"no published figure is named {name!r}; there are {', '.join(FIGURES)}")
    return read_shipped(table_path(name), FIGURES[name].schema).to_pandas()
