"""Figure 3: what six methods find in homogeneous cards and in all of G1, with one-hot vectors and with T2v."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.figures.paper.plate import FAINT, PUBLISHED, Plate, beside, new_figure, plain
from flexnas_bench.figures.paper.techniques import TECHNIQUES, WITH_VECTORS
from flexnas_bench.figures.styles import METHODS
from flexnas_bench.published.figures import load_published
from flexnas_bench.searching.analysis import estimate
from flexnas_bench.searching.shipped_runs import shipped_runs


@dataclass(frozen=True)
class Panel:
    """A part of the figure.

    Attributes:
        letter: as in the paper.
        runs: name of the shipped runs.
        title: above it.
        search: settings of its searches.
        others: name of the shipped runs of methods that look at no vectors, if they are not its own.
    """

    letter: str
    runs: str
    title: str
    search: Mapping[str, Any]
    others: str = ""

    @property
    def methods(self) -> Sequence[str]:
        """Optimizers whose runs are its own."""
        return WITH_VECTORS if self.others else tuple(TECHNIQUES.values())


PANELS = (
    Panel("a", "figure-3a", "one-hot,\nhomogeneous cards", {"space": "homogeneous", "embedding": "one-hot"}),
    Panel("b", "figure-3b", "one-hot,\nG1", {"space": "g1", "embedding": "one-hot"}),
    Panel("c", "figure-3c", "T2v,\nG1", {"space": "g1", "embedding": "t2v-g1-d16"}, "figure-3b"),
)


def spaces_figure(bench: Benchmark) -> Plate:
    """Bars: means over seeds of the value of the card that a method recommends at the end; dots: seeds."""
    found = {panel.runs: shipped_runs(panel.runs) for panel in PANELS}
    figure = new_figure(10.0, 5.0)
    rows: list[pd.DataFrame] = []
    published = load_published("fig3")
    for axes, panel in zip(figure.subplots(1, 3, sharey=True), PANELS, strict=True):
        judged = (found[panel.others].judged_at_end if panel.others else {}) | found[panel.runs].judged_at_end
        last = {ours: judged[ours].iloc[:, -1] for ours in TECHNIQUES.values()}
        rows += _bars(axes, panel, last)
        rows.append(_overlay(axes, panel, published[published["panel"] == panel.letter]))
        axes.set_title(f"({panel.letter}) {panel.title}", fontsize=10)
        plain(axes)
    first = found[PANELS[0].runs]
    problem, judged = first.problem, first.judged_at_end
    figure.axes[0].set_ylabel(f"recommended card, {problem['task']} (points)")
    values = pd.concat(rows)
    runs = values.loc[values["series"] == "run", "value"]
    figure.axes[0].set_ylim(runs.quantile(0.02) - 0.2, runs.max() + 0.1)
    budget, seeds = judged["random"].columns.max(), len(judged["random"])
    source = bench.cite(bench.query(str(first.frames["random"]["card_hash"].iloc[0]), kind="surrogate"))
    caption = (
        f"Expected {problem['task']} of the card recommended after {budget} evaluations with the noise of a training; "
        f"predicted scores, protocol {problem['protocol']} (surrogate of {source}). Dots: {seeds} seeds; ticks: means, "
        f"90 % intervals; some dots lie below the axis. Bars, {PUBLISHED}: Figure 3 of the paper, on a scale of its "
        "own. RS, ES and REINFORCE look at no vectors, so (c) has their runs of (b). "
        "The predictions are a process over weighted one-hot features, nearer to (b) than to (c). Runs: "
        "data/runs/figure-3*.parquet, by make experiments."
    )
    columns = ["panel", "method", "series", "seed", "value", "low", "high"]
    return Plate(figure, values[columns], caption)


def _bars(axes: Axes, panel: Panel, last: Mapping[str, pd.Series]) -> list[pd.DataFrame]:
    rows = []
    for place, (label, ours) in enumerate(TECHNIQUES.items()):
        values = last[ours].to_numpy()
        mean = estimate(values)
        spread = np.linspace(-0.12, 0.12, len(values))
        axes.scatter(place - 0.18 + spread, values, s=3, color=METHODS[ours], alpha=0.35, linewidths=0)
        errors = np.abs(np.array([[mean.low], [mean.high]]) - mean.mean)
        axes.errorbar(place - 0.18, mean.mean, errors, fmt="_", ms=13, mew=2, color=METHODS[ours], capsize=3)
        whole = {"value": [float(mean.mean)], "low": [float(mean.low)], "high": [float(mean.high)]}
        rows.append(pd.DataFrame(whole).assign(method=label, series="mean, 90 % interval"))
        rows.append(pd.DataFrame({"seed": last[ours].index, "value": values}).assign(method=label, series="run"))
    axes.set_xticks(range(len(TECHNIQUES)), list(TECHNIQUES), rotation=60, ha="right", fontsize=8)
    return [row.assign(panel=panel.letter) for row in rows]


def _overlay(axes: Axes, panel: Panel, table: pd.DataFrame) -> pd.DataFrame:
    """The paper's bars, faint, on an axis of their own, the same in all panels."""
    other = beside(axes, "best GLUE score" if panel is PANELS[-1] else "")
    table = table.set_index("technique").loc[list(TECHNIQUES)]
    other.bar(np.arange(len(table)) + 0.2, table["glue_score"], 0.3, color="0.6", alpha=FAINT)
    other.set_ylim(0.5, 0.8)
    if panel is not PANELS[-1]:
        other.set(yticks=[], ylabel="")
    found = table.reset_index().rename(
        columns={"technique": "method", "glue_score": "value", "ci_low": "low", "ci_high": "high"}
    )
    return found[["method", "value", "low", "high"]].assign(series=PUBLISHED, panel=panel.letter)
