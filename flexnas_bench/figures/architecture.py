"""The computational graph of a card as a picture, in the manner of the paper's Figure 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from flexnas_bench.card import ModelCard
from flexnas_bench.figures.layout import CHAIN, GAP, HALF, WIDTH, Frame, Node, Point, lay_out
from flexnas_bench.figures.saving import save_figure

_INCH = 0.5  # a row of nodes


def draw_architecture(card: ModelCard, path: Path) -> None:
    """Draws the block graph of a card, as `architecture_figure` has it, into a picture.

    Args:
        card: the encoder.
        path: `.svg`, `.png` or `.pdf`; the same card gives the same SVG.

    Raises:
        OptionError: another file type.
    """
    save_figure(architecture_figure(card), path)


def architecture_figure(card: ModelCard) -> Figure:
    """The block graph of a card: input, heads, add and norm, feed-forward chains, output, residual edges.

    Each layer has a frame, four layers a column. The projection at the end of a layer, which is no node of the
    graph, is drawn dashed; between equal hidden sizes it is the identity.
    """
    drawing = lay_out(card.layers)
    ys = [node.y for node in drawing.nodes]
    left, right = -(WIDTH + GAP) / 2, drawing.nodes[-1].x + (WIDTH + GAP) / 2
    bottom, top = min(ys[-1], *(frame.bottom for frame in drawing.frames)) - 0.7, max(ys) + 0.5
    figure = Figure(figsize=((right - left) * _INCH, (top - bottom) * _INCH), dpi=160)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for frame in drawing.frames:
        _draw_frame(axes, frame)
    for corners in drawing.edges:
        _draw_edge(axes, corners)
    for node in drawing.nodes:
        _draw_node(axes, node)
    return figure


def _draw_frame(axes: Axes, frame: Frame) -> None:
    _box(axes, (frame.left, frame.bottom), WIDTH, frame.height, facecolor="#f7f7f7", edgecolor="#bbbbbb", zorder=0)
    corner = (frame.left + 0.15, frame.bottom + frame.height - 0.12)
    axes.text(*corner, frame.title, va="top", fontsize=6, color="#555555")
    dashed = {"facecolor": "#ffffff", "edgecolor": "#999999", "linestyle": "--", "zorder": 2}
    _box(axes, (frame.centre - CHAIN / 2, frame.bottom + 0.1), CHAIN, 0.5, **dashed)
    place = (frame.centre, frame.bottom + 0.35)
    axes.text(*place, frame.projection, ha="center", va="center", fontsize=6, color="#777777")


def _draw_node(axes: Axes, node: Node) -> None:
    box = {"facecolor": node.colour, "edgecolor": "#333333", "linewidth": 0.8, "zorder": 3}
    _box(axes, (node.x - node.width / 2, node.y - HALF), node.width, 2 * HALF, **box)
    size = 6.5 if node.width > 1.4 else 5.5
    axes.text(node.x, node.y, node.text, ha="center", va="center", fontsize=size, zorder=4)


def _draw_edge(axes: Axes, corners: list[Point]) -> None:
    line: dict[str, Any] = {"color": "#333333", "linewidth": 0.7, "zorder": 1.5}
    axes.plot(*zip(*corners[:-1], strict=True), **line)
    arrow = {"arrowstyle": "-|>", "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0, **line}
    axes.annotate("", xy=corners[-1], xytext=corners[-2], arrowprops=arrow)


def _box(axes: Axes, corner: Point, width: float, height: float, **style: Any) -> None:
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.12", **style))
