"""Whether predictions and their intervals hold, in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from flexnas_bench.figures.saving import save_figure

if TYPE_CHECKING:
    from flexnas_bench.surrogate.evaluation import Evaluation

_ALL, _STRONGEST = "#0072b2", "#d55e00"  # Okabe and Ito


def draw_calibration(found: Evaluation, path: Path, *, title: str, note: str) -> None:
    """Draws read against predicted scores, and how many readings central intervals of every width hold.

    Args:
        found: of a surrogate.
        path: the picture, written all or nothing.
        title: above the picture.
        note: below the picture: source of the scores.
    """
    figure = Figure(figsize=(9.0, 4.6), dpi=160, layout="constrained")
    left, right = figure.subplots(1, 2)
    shares = np.linspace(0, 1, 101)
    everything = np.ones_like(found.strongest)
    folds = [rows.where(~np.isnan(rows.readings)) for rows in found.folds]
    first = folds[0]
    for name, colour, marker, cards in (
        ("others", _ALL, "o", ~found.strongest),
        ("strongest", _STRONGEST, "^", found.strongest),
    ):
        rows = first.where(cards[first.cards])
        left.scatter(rows.mean, rows.readings, s=11, color=colour, marker=marker, alpha=0.6, linewidths=0, label=name)
    for name, colour, style, cards in (
        ("all cards", _ALL, "-", everything),
        ("strongest", _STRONGEST, "-.", found.strongest),
    ):
        repeats = [rows.where(cards[rows.cards]) for rows in folds]
        inside = [[np.mean(np.abs(rows.quantile - 0.5) <= share / 2) for share in shares] for rows in repeats]
        right.plot(shares, np.mean(inside, axis=0), color=colour, ls=style, lw=2, label=f"{name} ({cards.sum()})")
    ends = [first.mean.min(), first.mean.max()]
    left.plot(ends, ends, color="0.4", lw=1, ls="--")
    right.plot([0, 1], [0, 1], color="0.4", lw=1, ls="--")
    left.set(xlabel="predicted mean, held out (points)", ylabel="published or measured score (points)")
    right.set(xlabel="central interval of the prediction", ylabel="readings inside", xlim=(0, 1), ylim=(0, 1))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper left", markerscale=2)
    figure.suptitle(title)
    figure.supxlabel(note, fontsize=7, color="0.4")
    save_figure(figure, path)
