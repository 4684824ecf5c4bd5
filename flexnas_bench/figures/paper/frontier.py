"""Figure 5: performance against parameters, of all of G1 and of homogeneous cards."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.figures.paper.plate import FAINT, PUBLISHED, Plate, beside, new_figure, plain
from flexnas_bench.figures.styles import COLOURS
from flexnas_bench.published.figures import load_published
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, PREDICTED
from flexnas_bench.space import load_space
from flexnas_bench.surrogate.table import shipped_predictions

_G1, _HOMOGENEOUS, _REAL = COLOURS[0], COLOURS[1], COLOURS[6]


def frontier_figure(bench: Benchmark) -> Plate:
    """Predicted scores of G1 and their frontiers; real scores, of cards of the pool, as points."""
    predicted = _predicted(bench)
    alike = {card.hash for card in load_space("homogeneous")}
    homogeneous = predicted[predicted["card_hash"].isin(alike)].assign(series="homogeneous, predicted")
    rows = pd.concat([predicted, homogeneous, _real(bench)], ignore_index=True)
    figure = new_figure(10.0, 5.4)
    axes = figure.add_subplot()
    drawn = [rows]
    for series, colour, mark, size in (
        ("G1, predicted", _G1, ".", 3),
        ("homogeneous, predicted", _HOMOGENEOUS, "D", 9),
        ("trained, published", _REAL, "x", 10),
    ):
        points = rows[rows["series"] == series]
        axes.scatter(
            points["parameters"] / 1e6, points["value"], s=size, c=colour, marker=mark, alpha=0.5, label=series
        )
        if colour != _REAL:
            edge = frontier(points["parameters"].to_numpy(), points["value"].to_numpy())
            line = points.iloc[edge].assign(series=f"{series}, frontier")
            style = "-" if colour == _G1 else "--"
            axes.step(
                line["parameters"] / 1e6,
                line["value"],
                where="post",
                color=colour,
                ls=style,
                lw=1.6,
                label="its frontier",
            )
            drawn.append(line)
    drawn.append(_overlay(axes))
    axes.set(title="Performance against size", xlabel="parameters (millions)", ylabel=f"{GLUE8} (points)")
    axes.set_ylim(bottom=float(rows.loc[rows["series"] == "G1, predicted", "value"].quantile(0.01)))
    axes.set_xlim(right=float(rows.loc[rows["series"] != "trained, published", "parameters"].max()) / 1e6 * 1.02)
    plain(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8, markerscale=1.5)
    found = bench.query(str(predicted["card_hash"].iloc[0]), kind="surrogate")
    caption = (
        f"{GLUE8} under protocol {DEFAULT_PROTOCOL}. Dots and diamonds: predicted (the project's surrogate, of "
        f"{bench.cite(found)}); lines: the best predicted score of cards of no more parameters. Crosses: trained, "
        "means of replicates, origin published, same source; what is outside the axes is in the CSV. Grey, "
        f"{PUBLISHED}: Figure 5 of the paper, on a scale of its own."
    )
    return Plate(figure, pd.concat(drawn, ignore_index=True), caption)


def frontier(parameters: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of what is better than all that is no larger, by size; of equal ones the first."""
    order = np.lexsort((-values, parameters))
    best = np.maximum.accumulate(values[order])
    first = np.concatenate([[True], best[1:] > best[:-1]])
    positions: NDArray[np.int64] = order[first]
    return positions


def _predicted(bench: Benchmark) -> pd.DataFrame:
    """All of G1, as shipped."""
    table = shipped_predictions(GLUE8, DEFAULT_PROTOCOL)
    return pd.DataFrame(
        {
            "card_hash": table.index.to_numpy(),
            "parameters": [bench.card(digest).parameters for digest in table.index],
            "value": table["mean"].to_numpy(),
            "origin": PREDICTED,
            "series": "G1, predicted",
        }
    )


def _real(bench: Benchmark) -> pd.DataFrame:
    cards = [bench.card(digest) for digest in bench.hashes(GLUE8, DEFAULT_PROTOCOL)]
    results = [bench.query(card, GLUE8) for card in cards]
    return pd.DataFrame(
        {
            "card_hash": [card.hash for card in cards],
            "parameters": [card.parameters for card in cards],
            "value": [result.value for result in results],
            "origin": [result.origin for result in results],
            "series": "trained, published",
        }
    )


def _overlay(axes: Axes) -> pd.DataFrame:
    """The paper's points, faint, on an axis of their own."""
    table = load_published("fig5")
    other = beside(axes, "score")
    for series, mark in (("expanded", "o"), ("homogeneous", "s")):
        points = table[table["series"] == series]
        other.scatter(
            points["model_parameters"] / 1e6,
            points["glue_score"],
            s=14,
            marker=mark,
            alpha=FAINT,
            fc="none",
            ec="0.4",
            label=f"{series}, {PUBLISHED}",
        )
    return pd.DataFrame(
        {
            "parameters": table["model_parameters"],
            "value": table["glue_score"],
            "origin": "published",
            "series": table["series"] + f", {PUBLISHED}",
        }
    )
