"""The paper's tables as published, beside what this project has: never one in place of the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotMeasuredError, OptionError
from flexnas_bench.published.figures import FIGURES, load_published
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8
from flexnas_bench.space import load_space
from flexnas_bench.space.choices import Choices

#: Models of Tables 3 and 4 that are cards here.
CARDS = {
    "BERT-Mini": "bert-mini",
    "FlexiBERT-Mini w/o S.": "flexibert-mini-without-second-order",
    "FlexiBERT-Mini w/o H.": "flexibert-mini-without-heteroscedasticity",
    "FlexiBERT-Mini": "flexibert-mini",
    "FlexiBERT-Large": "flexibert-large",
}
MEASURED_PROTOCOL = "cpu-lite"


@dataclass(frozen=True)
class PaperTable:
    """One table.

    Attributes:
        title: what it shows, where from.
        rows: columns as published, and ours, which say so.
        note: what ours are.
    """

    title: str
    rows: pd.DataFrame
    note: str


def paper_table(bench: Benchmark, number: str) -> PaperTable:
    """Table 1 to 6 of the paper; `number` is a key of `TABLES`."""
    published = load_published(f"table{number}")
    source = published.pop("source").iloc[0]
    rows, note = TABLES[number](bench, published)
    title = f"Table {number}: {FIGURES[f'table{number}'].title} (published: {bench.citations(source)})"
    return PaperTable(title, rows, note)


def _frameworks(bench: Benchmark, published: pd.DataFrame) -> tuple[pd.DataFrame, str]:  # noqa: ARG001 - of all tables
    choices = _choices("g3")
    kinds = set(choices.operations)
    ours: dict[str, str | bool] = {
        "framework": "flexnas-bench, space g3",
        "sa_sdp": ("SA", "SDP") in kinds,
        "sa_wma": ("SA", "WMA") in kinds,
        "conv": any(operation == "DSC" for operation, _ in kinds),
        "lt_dft": ("LT", "DFT") in kinds,
        "lt_dct": ("LT", "DCT") in kinds,
        "flexible_num_attn_ops": len(choices.heads) > 1,
        "flexible_ff_stacks": len(choices.feed_forward_stacks) > 1,
        "adaptive_width": len(choices.hidden) > 1,
        "full_flexibility": len(choices.hidden) > 1 and choices.layers_per_stack == 1,
        "search": "any optimizer",
    }
    row = {name: value if isinstance(value, str) else int(value) for name, value in ours.items()}
    return pd.concat([published, pd.DataFrame([row])], ignore_index=True), "The last row is read off the space."


def _space(bench: Benchmark, published: pd.DataFrame) -> tuple[pd.DataFrame, str]:  # noqa: ARG001 - likewise
    choices = _choices("g1")
    ours = (
        choices.layers,
        dict.fromkeys(operation for operation, _ in choices.operations),
        choices.heads,
        choices.hidden,
        choices.feed_forward,
        choices.feed_forward_stacks,
        *(tuple(kind for operation, kind in choices.operations if operation == one) for one in ("SA", "LT", "DSC")),
    )
    column = ["|".join(map(str, values)) for values in ours]
    return published.assign(space_g1=column), "space_g1: choices of the space that is shipped."


def task_of(column: str) -> str:
    """The task that the paper writes so, such as `SST-2`."""
    return column.lower().replace("-", "")


def _mini(bench: Benchmark, published: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    tasks = {column: task_of(column) for column in published.columns[2:-2]}
    rows = [row | {"scores": "published"} for row in published.drop(columns="recomputed_mean_of_9").to_dict("records")]
    for model in published["model"]:
        if model in CARDS:
            rows += [*_measured(bench, model, tasks), _predicted(bench, model)]
    columns = ["model", "scores", "params_M", *tasks, "Avg"]
    note = (
        "Avg: published and measured of the nine tasks, predicted of the eight without WNLI. "
        f"Measured: protocol {MEASURED_PROTOCOL}, first training from scratch, Avg only where all nine are there. "
        f"Predicted: mean of the surrogate, protocol {DEFAULT_PROTOCOL}."
    )
    return pd.DataFrame(rows)[columns], note


def _measured(bench: Benchmark, model: str, tasks: dict[str, str]) -> list[dict[str, object]]:
    """A row of the measured scores of a model, none where there are none."""
    card = ModelCard.named(CARDS[model])
    found = {column: _score(bench, card, task) for column, task in {**tasks, "Avg": "glue9"}.items()}
    if all(map(math.isnan, found.values())):
        return []
    return [{"model": model, "scores": "measured", "params_M": round(card.parameters / 1e6, 1), **found}]


def _score(bench: Benchmark, card: ModelCard, task: str) -> float:
    try:
        return round(bench.query(card, task, MEASURED_PROTOCOL, replicate=0).value, 2)
    except (NotMeasuredError, OptionError):  # not of this card, or of no card at all
        return math.nan


def _predicted(bench: Benchmark, model: str) -> dict[str, object]:
    card = ModelCard.named(CARDS[model])
    value = bench.query(card, GLUE8, kind="surrogate").value
    parameters = round(card.parameters / 1e6, 1)
    return {"model": model, "scores": "predicted (8 tasks)", "params_M": parameters, "Avg": round(value, 2)}


def _large(bench: Benchmark, published: pd.DataFrame) -> tuple[pd.DataFrame, str]:  # noqa: ARG001 - likewise
    ours = [
        round(ModelCard.named(CARDS[model]).parameters / 1e6, 1) if model in CARDS else math.nan
        for model in published["model"]
    ]
    return published.assign(params_M_here=ours), "params_M_here: of the card, with its head. Nothing was trained here."


def _budgets(bench: Benchmark, published: pd.DataFrame) -> tuple[pd.DataFrame, str]:  # noqa: ARG001 - likewise
    return published, "Nothing like it was trained here: `paper` and `paper-final` take days on a GPU."


def _settings(bench: Benchmark, published: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    tasks = [task_of(task) for task in published["task"]]
    settings = bench.protocols["paper"]["finetuning"]["tasks"]
    ours = {f"{name}_here": [settings[task][name] for task in tasks] for name in ("learning_rate", "batch_size")}
    return published.assign(**ours), "Ours: protocol paper."


def _choices(name: str) -> Choices:
    choices = load_space(name).choices
    if choices is None:
        raise LookupError(f"space {name} lists its cards")
    return choices


#: How each table is put together from what is published.
TABLES: dict[str, Callable[[Benchmark, pd.DataFrame], tuple[pd.DataFrame, str]]] = {
    "1": _frameworks,
    "2": _space,
    "3": _mini,
    "4": _large,
    "5": _budgets,
    "6": _settings,
}
