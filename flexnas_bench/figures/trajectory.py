"""Best score so far against evaluations, every run and the mean over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flexnas_bench.figures.saving import save_figure
from flexnas_bench.figures.styles import Style, styles_of
from flexnas_bench.searching.analysis import Estimate, estimate

_FEW = 3


def draw_trajectories(
    tables: Mapping[str, pd.DataFrame],
    path: Path,
    *,
    title: str,
    ylabel: str,
    note: str,
    xlabel: str = "evaluations",
    optimum: float | None = None,
    raw: bool = True,
) -> None:
    """Draws runs of one or more methods into a picture: raw runs thin, means thick, 90 % intervals shaded.

    The axis begins where all but a fifth of the runs of each method are after a sixth of the evaluations; what lies
    lower is cut off.
    Methods whose names differ after a comma only have one colour and different dashes.

    Args:
        tables: by the name of a method a row a seed and a column a step, or a point in time, as of `best_so_far`.
        path: the picture, written all or nothing.
        title: above the picture.
        ylabel: what the score is.
        note: below the picture: origin and source of the scores.
        xlabel: what the columns are.
        optimum: best score of the space, as a dashed line.
        raw: whether to draw the runs, which of ranks say little.
    """
    few = len(tables) <= _FEW
    figure = Figure(figsize=(7.2 if few else 9.0, 4.5 if few else 5.2), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    for name, style in styles_of(tables).items():
        draw_runs(axes, tables[name], name, style, raw, 1.0 if few else 0.4)
    _limit(axes, tables, optimum, raw)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    if few:
        axes.legend(loc="lower right", frameon=False)
    else:
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    figure.supxlabel(fill(f"{seeds_text(tables)}{note}", 120), fontsize=7, color="0.35")
    save_figure(figure, path)


def seeds_text(tables: Mapping[str, pd.DataFrame]) -> str:
    """How many seeds there are, and so what is shaded."""
    fewest, most = (bound(len(table) for table in tables.values()) for bound in (min, max))
    seeds = f"{fewest} seeds" if fewest == most else f"{fewest} to {most} seeds"
    return "1 seed; " if most == 1 else f"{seeds}, means with 90 % intervals; "


def _limit(axes: Axes, tables: Mapping[str, pd.DataFrame], optimum: float | None, raw: bool) -> None:
    """Sets the limits of the axis of scores, and draws the optimum."""
    if not raw or all(best.isna().all(axis=None) for best in tables.values()):
        return
    axes.set_ylim(*score_limits(tables, optimum))
    if optimum is not None:
        axes.axhline(optimum, color="0.35", linestyle="--", linewidth=1)
        label = f"best of the space: {optimum:.2f}"
        axes.text(0.005, optimum, label, transform=axes.get_yaxis_transform(), va="bottom", fontsize=8, color="0.35")


def score_limits(tables: Mapping[str, pd.DataFrame], optimum: float | None = None) -> tuple[float, float]:
    """Where an axis of best scores begins, which is where most runs are after a sixth of it, and ends."""
    sixths = [best.bfill(axis=1).iloc[:, len(best.columns) // 6] for best in tables.values()]
    bottom = float(np.nanmin([values.quantile(0.2) for values in sixths]))
    top = float(np.nanmax([best.max().max() for best in tables.values()])) if optimum is None else optimum
    return bottom - 0.05 * (top - bottom), top + 0.08 * (top - bottom) + 1e-3


def draw_runs(
    axes: Axes,
    best: pd.DataFrame,
    name: str,
    style: Style,
    raw: bool = True,
    strength: float = 0.4,
) -> Estimate:
    """Draws one method: its runs thin, the mean thick, the 90 % interval shaded; returns what it found.

    Args:
        axes: to draw on.
        best: a row a seed and a column a step.
        name: for the legend.
        style: of the mean; the colour is that of all.
        raw: whether to draw the runs.
        strength: of thin lines and shades, up to 1.
    """
    steps, values = best.columns.to_numpy(), best.to_numpy()
    for run in values if raw else ():
        axes.step(steps, run, where="mid", color=style.colour, alpha=max(0.15 * strength, 0.08), linewidth=0.6)
    mean = estimate(values)
    axes.fill_between(steps, mean.low, mean.high, step="mid", color=style.colour, alpha=0.25 * strength, linewidth=0)
    line: dict[str, Any] = {"color": style.colour, "linestyle": style.dash, "linewidth": 1.0 + strength, "label": name}
    mark = style.mark if np.isfinite(mean.mean).any() else ""  # of nothing, Matplotlib cannot mark a share
    axes.step(steps, mean.mean, where="mid", marker=mark, markevery=0.12, markersize=4, **line)
    return mean
