"""Where the parts of a block graph go in a picture, whoever draws it (paper Figure 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flexnas_bench.graph import BlockGraph
from flexnas_bench.layer import EncoderLayer

LAYERS_A_COLUMN = 4
# In rows of nodes: a layer's width, from column to column, above the heads, from layer to layer.
WIDTH, GAP, _MARGIN, BETWEEN = 7.2, 1.2, 0.95, 0.5
CHAIN, HALF = 3.0, 0.28  # width of the boxes in the middle, half the height of all
#: By operation, or by what else a block is.
BLOCK_COLOURS = {"SA": "#9ecae1", "LT": "#a1d99b", "DSC": "#fdae6b", "feed_forward": "#d9d9d9", "add_norm": "#fff2ae"}
_PLAIN = "#ffffff"
Point = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """A box: its middle, its width, its colour, and what stands in it, nothing where it is too narrow."""

    x: float
    y: float
    width: float
    colour: str
    text: str


@dataclass(frozen=True)
class Frame:
    """The frame of a layer, `WIDTH` wide, and its two texts; the projection stands in its last row."""

    left: float
    bottom: float
    height: float
    title: str
    projection: str

    @property
    def centre(self) -> float:
        """Of its width."""
        return self.left + WIDTH / 2


@dataclass(frozen=True)
class Drawing:
    """All parts: nodes as numbered in the graph, edges by their corners, the last of them an arrow's, and frames."""

    nodes: list[Node]
    edges: list[list[Point]]
    frames: list[Frame]


def lay_out(layers: Sequence[EncoderLayer]) -> Drawing:
    """Columns of layers from left to right, each from top to bottom, input and output above and below.

    Each layer has a frame, four layers a column. The projection at the end of a layer is no node of the graph;
    between equal hidden sizes it is the identity.
    """
    graph = BlockGraph.of(layers)
    places, frames = _place(layers)
    nodes = [
        Node(*place, width, _colour(label), _text(label, width))
        for label, place, width in zip(graph.labels, places, _widths(layers), strict=True)
    ]
    edges = []
    for u, v in graph.edges:
        forks = graph.labels[u] in ("add_norm", "input")
        bend = places[u + 1][1] + 0.5 if forks else None  # over the row that follows u
        edges.append(_corners(places[u], places[v], bend, residual=forks and graph.labels[v] == "add_norm"))
    return Drawing(nodes, edges, frames)


def _place(layers: Sequence[EncoderLayer]) -> tuple[list[Point], list[Frame]]:
    places: list[Point] = [(0.0, 0.75)]
    frames = []
    x, top = 0.0, 0.0
    for number, layer in enumerate(layers):
        if number and number % LAYERS_A_COLUMN == 0:
            x, top = x + WIDTH + GAP, 0.0
        step, rows = _head_step(layer), 3 + len(layer.feed_forward)  # heads, add_norm, the chain, add_norm
        places += [(x + (i - (layer.heads - 1) / 2) * step, top - _MARGIN) for i in range(layer.heads)]
        places += [(x, top - _MARGIN - row) for row in range(1, rows)]
        height = _MARGIN + rows + 0.4  # the projection takes the last row
        following = layers[min(number + 1, len(layers) - 1)].hidden
        title = f"layer {number + 1}: {layer.heads} {'heads' if layer.heads > 1 else 'head'}, {layer.label}"
        projection = "identity" if layer.hidden == following else f"h{layer.hidden} to h{following}"
        frames.append(Frame(x - WIDTH / 2, top - height, height, title, f"projection: {projection}"))
        top -= height + BETWEEN
    return [*places, (x, top - 0.1)], frames


def _head_step(layer: EncoderLayer) -> float:
    return min(1.7, (WIDTH - 1.4) / layer.heads)


def _widths(layers: Sequence[EncoderLayer]) -> Iterator[float]:
    yield 2.0
    for layer in layers:
        yield from [_head_step(layer) * 0.88] * layer.heads + [CHAIN] * (2 + len(layer.feed_forward))
    yield 2.0


def _operation(label: str) -> str:
    return label.partition("/")[2].partition("-")[0]


def _colour(label: str) -> str:
    return BLOCK_COLOURS.get(_operation(label) or label.partition("-")[0], _PLAIN)


def _text(label: str, width: float) -> str:
    if width <= 1:  # the frame says what narrow ones are
        return ""
    if _operation(label):
        return label.replace("/", "\n")
    return label.replace("add_norm", "add & norm").replace("_", "-")


def _corners(start: Point, end: Point, bend: float | None, residual: bool) -> list[Point]:
    """Straight, or down to a bend, and from there to the end: round the side, if the edge is a residual one."""
    (x0, y0), (x1, y1) = start, end
    corners, centre = [(x0, y0)], x0
    if bend is None:
        bend = y0
    if y1 > y0:  # up into the next column
        middle, over, under = x0 + (WIDTH + GAP) / 2, bend + 0.5, y0 - 1.6
        centre = x0 + WIDTH + GAP
        corners += [(x0, under), (middle, under), (middle, over), (centre, over)]
    if residual:
        side = centre + WIDTH / 2 - 0.3
        return [*corners, (centre, bend), (side, bend), (side, y1), (x1 + CHAIN / 2, y1)]
    return [*corners, (centre, bend), (x1, y1 + HALF)]
