"""Best score so far against evaluations, every run and the mean over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flexnas_bench.figures.saving import save_figure
from flexnas_bench.searching.analysis import estimate

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")  # Okabe and Ito


def draw_trajectories(
    tables: Mapping[str, pd.DataFrame],
    path: Path,
    *,
    title: str,
    ylabel: str,
    note: str,
    xlabel: str = "evaluations",
    optimum: float | None = None,
) -> None:
    """Draws runs of one or more methods into a picture: raw runs thin, means thick, 90 % intervals shaded.

    The axis begins under the worst run after a sixth of the evaluations; what lies lower, at the start, is cut off.

    Args:
        tables: by the name of a method a row a seed and a column a step, or a point in time, as of `best_so_far`.
        path: the picture, written all or nothing.
        title: above the picture.
        ylabel: what the score is.
        note: below the picture: origin and source of the scores.
        xlabel: what the columns are.
        optimum: best score of the space, as a dashed line.
    """
    figure = Figure(figsize=(7.2, 4.5), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    for (name, best), colour in zip(tables.items(), cycle(_COLOURS)):
        _draw_one(axes, best, name, colour)
    bottom = min(best.iloc[:, len(best.columns) // 6].min() for best in tables.values())
    top = max(best.to_numpy().max() for best in tables.values()) if optimum is None else optimum
    axes.set_ylim(bottom - 0.05 * (top - bottom), top + 0.08 * (top - bottom) + 1e-3)
    if optimum is not None:
        axes.axhline(optimum, color="0.35", linestyle="--", linewidth=1)
        label = f"best of the space: {optimum:.2f}"
        axes.text(0.005, optimum, label, transform=axes.get_yaxis_transform(), va="bottom", fontsize=8, color="0.35")
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(loc="lower right", frameon=False)
    figure.supxlabel(fill(note, 120), fontsize=7, color="0.35")
    save_figure(figure, path)


def _draw_one(axes: Axes, best: pd.DataFrame, name: str, colour: str) -> None:
    steps, values = best.columns.to_numpy(), best.to_numpy()
    for run in values:
        axes.step(steps, run, where="mid", color=colour, alpha=0.15, linewidth=0.6)
    mean = estimate(values)
    seeds = f"{len(best)} seeds, 90 % interval" if len(best) > 1 else "1 seed"
    axes.fill_between(steps, mean.low, mean.high, step="mid", color=colour, alpha=0.25, linewidth=0)
    axes.step(steps, mean.mean, where="mid", color=colour, linewidth=2, label=f"{name} ({seeds})")
