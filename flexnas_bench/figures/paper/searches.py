"""Figure 4: the best score against the number of trained models, of methods and of ablations of BOSHNAS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.figures.paper.plate import FAINT, PUBLISHED, Plate, beside, new_figure, plain
from flexnas_bench.figures.paper.techniques import (
    ABLATIONS,
    OURS,
    TECHNIQUES,
    WITH_VECTORS,
)
from flexnas_bench.figures.styles import MARKS, METHODS, styles_of
from flexnas_bench.figures.trajectory import draw_runs, seeds_text
from flexnas_bench.published.figures import load_published
from flexnas_bench.results import PREDICTED
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.objective import choose_objective
from flexnas_bench.searching.shipped_runs import shipped_runs
from flexnas_bench.space import load_space


@dataclass(frozen=True)
class Searches:
    """Shipped runs of several methods on one problem.

    Attributes:
        name: of the table of runs in `data/runs`.
        what: the problem, in words.
        labels: which methods to draw, under which names.
    """

    name: str
    what: str
    labels: Mapping[str, str]

    @property
    def tables(self) -> tuple[str, str]:
        """Shipped runs with one-hot vectors, and those with T2v."""
        return self.name, f"{self.name}-t2v"


def methods_figure(bench: Benchmark, name: str, what: str) -> Plate:
    """Figure 4(a): the paper's six methods with one-hot vectors, and those that look at vectors with T2v too.

    Args:
        bench: whose scores these are.
        name: of the shipped table of runs.
        what: the problem, in words.
    """
    return _curves(bench, Searches(name, what, _labels(TECHNIQUES, WITH_VECTORS)), "4a")


def ablations_figure(bench: Benchmark, name: str, what: str) -> Plate:
    """Figure 4(b): BOSHNAS, without second-order gradients, without a heteroscedastic model; with both vectors."""
    return _curves(bench, Searches(name, what, _labels(ABLATIONS, ABLATIONS.values())), "4b")


def _labels(names: Mapping[str, str], vectors: Iterable[str]) -> dict[str, str]:
    """The paper's names of methods by ours, of those that look at vectors with T2v as well."""
    labels = {ours: theirs for theirs, ours in names.items()}
    return labels | {f"{ours}, T2v": f"{labels[ours]}, T2v" for ours in vectors}


def _curves(bench: Benchmark, searches: Searches, panel: str) -> Plate:
    comparison = shipped_runs(*searches.tables)
    figure = new_figure(9.0, 5.4)
    axes = figure.add_subplot()
    rows: list[pd.DataFrame] = []
    styles = styles_of(searches.labels)
    for name, label in searches.labels.items():
        table = comparison.judged[name]
        found = draw_runs(axes, table, label, styles[name], strength=0.3)
        means = pd.DataFrame({"step": table.columns, "value": found.mean, "low": found.low, "high": found.high})
        rows.append(means.assign(method=label, series="mean, 90 % interval"))
        runs = table.rename_axis("seed").reset_index().melt("seed", var_name="step", value_name="value")
        rows.append(runs.assign(method=label, series="run"))
    _limits(axes, comparison)
    rows.append(_overlay(axes, panel))
    axes.set(
        title=searches.what, xlabel="evaluations", ylabel=f"best score so far, {comparison.problem['task']} (points)"
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    data = pd.concat(rows, ignore_index=True)
    columns = ["method", "series", "seed", "step", "value", "low", "high"]
    return Plate(figure, data[columns], _caption(bench, comparison, searches, panel))


def _limits(axes: Axes, comparison: Comparison) -> None:
    """Leaves out what nearly all runs leave behind by their tenth card: it would be most of the picture."""
    tables = list(comparison.judged.values())
    low = min(float(np.nanquantile(table.iloc[:, 9], 0.1)) for table in tables)
    high = max(float(np.nanmax(table.to_numpy())) for table in tables)
    axes.set_ylim(low, high + 0.05 * (high - low))


def _overlay(axes: Axes, panel: str) -> pd.DataFrame:
    """The paper's curves, faint, on an axis of their own."""
    table = load_published("fig4")
    table = table[table["panel"] == panel]
    other = beside(axes, "best GLUE score")
    steps = axes.get_xlim()[1]
    for technique, curve in table.groupby("technique", sort=False):
        shown = curve[curve["models_trained"] <= steps]
        colour = METHODS[OURS[str(technique)]]
        marks: dict[str, Any] = {"marker": MARKS[colour], "ms": 3, "markevery": 3}
        other.plot(shown["models_trained"], shown["best_glue"], color=colour, alpha=FAINT, lw=1, ls=":", **marks)
    other.plot([], [], color="0.4", alpha=2 * FAINT, lw=1, ls=":", label=f"{PUBLISHED} (dotted)")
    found = table.rename(
        columns={
            "technique": "method",
            "models_trained": "step",
            "best_glue": "value",
            "ci_low": "low",
            "ci_high": "high",
        }
    )
    return found.assign(series=PUBLISHED)


def _caption(bench: Benchmark, comparison: Comparison, searches: Searches, panel: str) -> str:
    problem = comparison.problem
    space = load_space(problem["space"])
    objective = choose_objective(bench, space, problem["task"], problem["protocol"], problem["kind"])
    result = objective.query(space[0], 0)
    source = f"{'the surrogate of ' if result.origin == PREDICTED else ''}{bench.cite(result)}"
    drawn = {name: comparison.judged[name] for name in searches.labels}
    runs = " and ".join(f"data/runs/{name}.parquet" for name in searches.tables)
    return (
        f"{problem['task']} of {space.name}, {result.origin} scores without noise, protocol {problem['protocol']} "
        f"({source}). Solid: one-hot vectors; dashed: T2v. Thin: runs; thick: {seeds_text(drawn)}what lies below the "
        f"axis is in the CSV. Dotted, {PUBLISHED}: Figure {panel[0]}({panel[1]}) of the paper, searches of G1 with T2v "
        f"on a scale of its own. Runs: {runs}, by make experiments."
    )
