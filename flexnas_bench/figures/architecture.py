"""The computational graph of a card as a picture, in the manner of the paper's Figure 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from flexnas_bench.card import ModelCard
from flexnas_bench.figures.saving import save_figure
from flexnas_bench.graph import BlockGraph
from flexnas_bench.layer import EncoderLayer

LAYERS_A_COLUMN = 4
# In rows of nodes: a layer's width, from column to column, above the heads, from layer to layer; inches a row.
_WIDTH, _GAP, _MARGIN, _BETWEEN, _INCH = 7.2, 1.2, 0.95, 0.5, 0.5
_CHAIN, _HALF = 3.0, 0.28  # width of the boxes in the middle, half the height of all
_COLOURS = {"SA": "#9ecae1", "LT": "#a1d99b", "DSC": "#fdae6b", "feed_forward": "#d9d9d9", "add_norm": "#fff2ae"}
_PLAIN = "#ffffff"
Point = tuple[float, float]


@dataclass(frozen=True)
class _Layout:
    """Where the nodes of a graph go, by number, and the frame of each layer: left, bottom, height."""

    nodes: list[Point]
    frames: list[tuple[float, float, float]]


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
    layout = _place(card.layers)
    ys = [y for _, y in layout.nodes]
    left, right = -(_WIDTH + _GAP) / 2, layout.nodes[-1][0] + (_WIDTH + _GAP) / 2
    bottom, top = min(ys[-1], *(frame[1] for frame in layout.frames)) - 0.7, max(ys) + 0.5
    figure = Figure(figsize=((right - left) * _INCH, (top - bottom) * _INCH), dpi=160)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for number, (layer, frame) in enumerate(zip(card.layers, layout.frames, strict=True)):
        following = card.layers[number + 1].hidden if number + 1 < card.num_layers else layer.hidden
        projection = "identity" if layer.hidden == following else f"h{layer.hidden} to h{following}"
        title = f"layer {number + 1}: {layer.heads} {'heads' if layer.heads > 1 else 'head'}, {layer.label}"
        _draw_frame(axes, title, projection, frame)
    graph = BlockGraph.of(card.layers)
    for u, v in graph.edges:
        forks = graph.labels[u] in ("add_norm", "input")
        bend = layout.nodes[u + 1][1] + 0.5 if forks else None  # over the row that follows u
        _draw_edge(axes, layout.nodes[u], layout.nodes[v], bend, residual=forks and graph.labels[v] == "add_norm")
    widths = _node_widths(card.layers)
    for label, position, width in zip(graph.labels, layout.nodes, widths, strict=True):
        _draw_node(axes, label, position, width)
    return figure


def _rows(layer: EncoderLayer) -> int:
    """Rows of nodes of a layer: heads, add_norm, the feed-forward chain, add_norm."""
    return 3 + len(layer.feed_forward)


def _place(layers: Sequence[EncoderLayer]) -> _Layout:
    """Columns of layers from left to right, each from top to bottom."""
    nodes: list[Point] = [(0.0, 0.75)]
    frames = []
    x, top = 0.0, 0.0
    for number, layer in enumerate(layers):
        if number and number % LAYERS_A_COLUMN == 0:
            x, top = x + _WIDTH + _GAP, 0.0
        step = _head_step(layer)
        nodes += [(x + (i - (layer.heads - 1) / 2) * step, top - _MARGIN) for i in range(layer.heads)]
        nodes += [(x, top - _MARGIN - row) for row in range(1, _rows(layer))]
        height = _MARGIN + _rows(layer) + 0.4  # the projection takes the last row
        frames.append((x - _WIDTH / 2, top - height, height))
        top -= height + _BETWEEN
    return _Layout([*nodes, (x, top - 0.1)], frames)


def _head_step(layer: EncoderLayer) -> float:
    return min(1.7, (_WIDTH - 1.4) / layer.heads)


def _node_widths(layers: Sequence[EncoderLayer]) -> list[float]:
    inner = [
        width
        for layer in layers
        for width in [_head_step(layer) * 0.88] * layer.heads + [_CHAIN] * (2 + len(layer.feed_forward))
    ]
    return [2.0, *inner, 2.0]


def _draw_frame(axes: Axes, title: str, projection: str, frame: tuple[float, float, float]) -> None:
    left, bottom, height = frame
    centre = left + _WIDTH / 2
    _box(axes, (left, bottom), _WIDTH, height, facecolor="#f7f7f7", edgecolor="#bbbbbb", zorder=0)
    axes.text(left + 0.15, bottom + height - 0.12, title, va="top", fontsize=6, color="#555555")
    dashed = {"facecolor": _PLAIN, "edgecolor": "#999999", "linestyle": "--", "zorder": 2}
    _box(axes, (centre - _CHAIN / 2, bottom + 0.1), _CHAIN, 0.5, **dashed)
    axes.text(centre, bottom + 0.35, f"projection: {projection}", ha="center", va="center", fontsize=6, color="#777777")


def _draw_node(axes: Axes, label: str, position: Point, width: float) -> None:
    x, y = position
    operation = label.partition("/")[2].partition("-")[0]
    colour = _COLOURS.get(operation or label.partition("-")[0], _PLAIN)
    box = {"facecolor": colour, "edgecolor": "#333333", "linewidth": 0.8, "zorder": 3}
    _box(axes, (x - width / 2, y - _HALF), width, 2 * _HALF, **box)
    if width > 1:  # the frame says what narrower ones are
        text = label.replace("/", "\n") if operation else label.replace("add_norm", "add & norm").replace("_", "-")
        axes.text(x, y, text, ha="center", va="center", fontsize=6.5 if width > 1.4 else 5.5, zorder=4)


def _draw_edge(axes: Axes, start: Point, end: Point, bend: float | None, residual: bool) -> None:
    """Straight, or down to a bend, and from there to the end: round the side, if the edge is a residual one."""
    (x0, y0), (x1, y1) = start, end
    corners, centre = [(x0, y0)], x0
    if bend is None:
        bend = y0
    if y1 > y0:  # up into the next column
        middle, over, under = x0 + (_WIDTH + _GAP) / 2, bend + 0.5, y0 - 1.6
        centre = x0 + _WIDTH + _GAP
        corners += [(x0, under), (middle, under), (middle, over), (centre, over)]
    if residual:
        side = centre + _WIDTH / 2 - 0.3
        corners += [(centre, bend), (side, bend), (side, y1), (x1 + _CHAIN / 2, y1)]
    else:
        corners += [(centre, bend), (x1, y1 + _HALF)]
    line: dict[str, Any] = {"color": "#333333", "linewidth": 0.7, "zorder": 1.5}
    axes.plot(*zip(*corners[:-1], strict=True), **line)
    arrow = {"arrowstyle": "-|>", "mutation_scale": 6, "shrinkA": 0, "shrinkB": 0, **line}
    axes.annotate("", xy=corners[-1], xytext=corners[-2], arrowprops=arrow)


def _box(axes: Axes, corner: Point, width: float, height: float, **style: Any) -> None:
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.12", **style))
