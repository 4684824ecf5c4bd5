"""A figure, the numbers in it, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flexnas_bench.figures.saving import save_figure
from flexnas_bench.storage import write_bytes

#: How values of the paper are drawn and called, whose scale is their own.
PUBLISHED = "as published"
FAINT = 0.35


@dataclass(frozen=True)
class Plate:
    """One picture.

    Attributes:
        figure: as drawn.
        data: every number in it, a row each; the same runs give the same rows.
        caption: objective, origin, protocol, seeds, source and command.
        below: whether the caption stands below the picture too.
    """

    figure: Figure
    data: pd.DataFrame
    caption: str
    below: bool = True

    def save(self, folder: Path, name: str) -> list[Path]:
        """Writes `name.png`, `name.svg`, `name.csv` and `name.md`, the caption; each whole or not at all."""
        if self.below:
            self.figure.supxlabel(fill(self.caption, _width(self.figure)), fontsize=7, color="0.35")
        paths = [folder / f"{name}.{kind}" for kind in ("png", "svg", "csv", "md")]
        for path in paths[:2]:
            save_figure(self.figure, path)
        write_bytes(paths[2], self.data.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
        write_bytes(paths[3], f"{self.caption}\n".encode())
        return paths


def _width(figure: Figure) -> int:
    """How many characters of a caption fit on a line."""
    return int(figure.get_figwidth() * 17.5)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts keep clear of each other."""
    return Figure(figsize=(width, height), dpi=160, layout="constrained")


def plain(axes: Axes) -> None:
    """Takes away what axes do not need."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)


def beside(axes: Axes, label: str) -> Axes:
    """A second axis on the right for published values on a scale of their own."""
    other = axes.twinx()
    other.set_ylabel(f"{label}, {PUBLISHED}", color="0.5", fontsize=8)
    other.tick_params(axis="y", colors="0.5", labelsize=7)
    other.spines["top"].set_visible(False)
    return other
