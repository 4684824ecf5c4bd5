"""Figure 6: FlexiBERT and its rivals on single tasks against parameters, as far as numbers were published."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.figures.paper.plate import Plate, new_figure, plain
from flexnas_bench.figures.styles import styles_of
from flexnas_bench.published.figures import load_published

TASKS = ("SST-2", "QNLI", "MNLI", "CoLA")
#: Of the family, in Figure 6 of the paper, without published scores of single tasks.
GAPS = ("flexibert-small", "flexibert-base", "flexibert-large")


def family_figure(bench: Benchmark) -> Plate:
    """Four panels, a task each: models of Table 3, and at which sizes the family has no published score."""
    table = load_published("table3")
    figure = new_figure(10.0, 6.4)
    sizes = {name: ModelCard.named(name).parameters / 1e6 for name in GAPS}
    panels = figure.subplots(2, 2, sharex=True)
    for axes, task in zip(panels.flat, TASKS, strict=True):
        _panel(axes, table, task, sizes)
    for axes in panels[-1]:
        axes.set_xlabel("parameters (millions)")
    handles = [
        axes.scatter([], [], c=style.colour, marker=style.mark, label=name)
        for name, style in styles_of(table["model"]).items()
    ]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    rows = table.melt(["model", "params_M"], TASKS, var_name="task", value_name="value")
    gaps = pd.DataFrame(
        [{"model": name, "params_M": round(size, 2), "task": task} for name, size in sizes.items() for task in TASKS]
    )
    caption = (
        f"Development-set scores in points (CoLA: Matthews; else accuracy), origin published: Table 3 of the paper "
        f"({bench.citations(table['source'].iloc[0])}). Hatched: sizes of FlexiBERT-Small, Base and Large, by the "
        "project's own count, whose scores of single tasks were published as a picture only. Each model was trained by "
        "a recipe of its own."
    )
    return Plate(figure, pd.concat([rows, gaps], ignore_index=True), caption)


def _panel(axes: Axes, table: pd.DataFrame, task: str, gaps: dict[str, float]) -> None:
    styles = styles_of(table["model"])
    for _, row in table.iterrows():
        style = styles[row["model"]]
        axes.scatter(row["params_M"], row[task], c=style.colour, marker=style.mark, s=36, zorder=3)
    for size in gaps.values():
        axes.axvspan(size / 1.08, size * 1.08, facecolor="none", edgecolor="0.6", hatch="////", linewidth=0)
    axes.set(title=task, xscale="log", ylabel="points")
    axes.set_xticks([5, 10, 20, 50, 100, 200, 400], ["5", "10", "20", "50", "100", "200", "400"])
    axes.minorticks_off()
    plain(axes)
