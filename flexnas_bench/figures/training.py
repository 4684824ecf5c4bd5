"""The curves of one training: pre-training loss, fine-tuning losses and development scores."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flexnas_bench.figures.saving import save_figure
from flexnas_bench.figures.styles import COLOURS
from flexnas_bench.results import METRICS
from flexnas_bench.training.workplace import Curves


def draw_training(curves: Curves, path: Path, title: str) -> None:
    """Draws what a training left behind.

    Args:
        curves: of the folder of a training.
        path: the picture, written all or nothing.
        title: above it.
    """
    figure = Figure(figsize=(11.0, 3.8), dpi=160, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _pretraining(left, curves)
    names = [task for task in METRICS if task in curves.tasks]
    for axes, ylabel in ((middle, "training loss, share of the first epoch's"), (right, "development score, points")):
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    middle.set(title="fine-tuning")
    right.set(title="fine-tuning, development sets")
    for name, colour in zip(names, cycle(COLOURS)):
        record = curves.tasks[name]
        if record["losses"] and record["losses"][0]:
            losses = [None if loss is None else loss / record["losses"][0] for loss in record["losses"]]
            _line(middle, losses, name, colour)
        _line(right, record["scores"], f"{name} ({METRICS[name]})", colour)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
    if names:
        figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=9)
    save_figure(figure, path)


def _pretraining(axes: Axes, curves: Curves) -> None:
    axes.set(title="pre-training", xlabel="step", ylabel="loss at masked tokens, nats")
    if curves.pretraining:
        steps, losses = zip(*curves.pretraining, strict=True)
        axes.plot(steps, losses, color=COLOURS[0], linewidth=1)
    else:
        axes.text(
            0.5, 0.5, "weights of a neighbour" if curves.transferred else "none", transform=axes.transAxes, ha="center"
        )
        axes.set(xticks=[], yticks=[])


def _line(axes: Axes, values: list[float | None], label: str, colour: str) -> None:
    """A value an epoch, with gaps where there is none."""
    plain = [float("nan") if value is None else value for value in values]
    axes.plot(range(1, len(plain) + 1), plain, color=colour, marker="o", markersize=3, linewidth=1.2, label=label)
