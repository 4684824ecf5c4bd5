"""The charts of a page: its script fills those of cards; curves of searches come filled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from bokeh.core.property.vectorization import Field
from bokeh.events import Tap
from bokeh.models import CDSView, ColumnDataSource, CustomJS, HoverTool, IndexFilter, LinearColorMapper, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from flexnas_bench.figures.layout import CHAIN, HALF, WIDTH
from flexnas_bench.figures.styles import styles_of
from flexnas_bench.figures.trajectory import score_limits
from flexnas_bench.searching.analysis import estimate
from flexnas_bench.searching.comparison import Comparison

#: How cards are drawn by what is known of their score; later ones over earlier ones.
_MARKS: dict[str, dict[str, Any]] = {
    "unknown": {"marker": "circle", "size": 3, "fill_alpha": 0},
    "predicted": {"marker": "circle", "size": 4},
    "published": {"marker": "square", "size": 7, "name": "outlined"},
    "measured": {"marker": "diamond", "size": 12, "name": "outlined"},
}
#: Frontiers of trained cards and of predicted ones, and their lines.
_EDGES = {"real": "solid", "predicted": "dotted"}
#: Marks of curves, by what Matplotlib calls them: what Bokeh does, and how they are written.
MARKERS = {
    "*": ("star", "★"),
    "P": ("plus", "✚"),
    "v": ("inverted_triangle", "▼"),
    "D": ("diamond", "◆"),
    "s": ("square", "■"),
    "^": ("triangle", "▲"),
    "o": ("circle", "●"),
    "h": ("hex", "⬢"),
    "X": ("square_pin", "✦"),
}
#: How the marks of cards are written, in the order in which they are drawn.
WRITTEN = {
    origin: "○" if "fill_alpha" in mark else dict(MARKERS.values())[mark["marker"]] for origin, mark in _MARKS.items()
}
_COLUMNS = ("x", "y", "parameters", "value", "shade", "title", "text", "score")
_TOOLTIP = "<div class='tip'><b>@title</b><br>@text<br>@score</div>"


def card_charts() -> list[figure]:
    """The map and the frontier, of the same cards: a source for each origin, as `cards-measured`, and a ring."""
    cards = {origin: ColumnDataSource({name: [] for name in _COLUMNS}, name=f"cards-{origin}") for origin in _MARKS}
    ring = ColumnDataSource({name: [] for name in ("x", "y", "parameters", "value")}, name="ring")
    colour = Field("shade", LinearColorMapper(palette=["gray"], name="colours"))
    space = _chart("map", height=520, x_range=Range1d(), y_range=Range1d())
    space.axis.visible = space.grid.visible = False
    frontier = _chart("frontier", height=340, x_range=Range1d(), y_range=Range1d())
    frontier.xaxis.axis_label = "parameters (millions)"
    for chart, (x, y) in ((space, ("x", "y")), (frontier, ("parameters", "value"))):
        dots: list[Any] = [
            chart.scatter(x, y, source=source, color=colour, **_MARKS[origin], line_width=0.5)
            for origin, source in cards.items()
        ]
        chart.scatter(x, y, source=ring, marker="circle", size=18, fill_alpha=0, line_width=3, name="ring-dots")
        chart.add_tools(HoverTool(renderers=dots, tooltips=_TOOLTIP, limit=3, attachment="vertical"))
        chart.js_on_event(Tap, CustomJS(code=f"explorer.tap('{chart.name}', cb_obj)"))
    for kind, dash in _EDGES.items():
        edge = ColumnDataSource({"parameters": [], "value": []}, name=f"edge-{kind}")
        frontier.step("parameters", "value", source=edge, mode="after", line_width=2, line_dash=dash, name="edge-steps")
    return [space, frontier]


def graph_chart() -> figure:
    """The block graph of a card: sources `frames`, `edges`, `heads` (of arrows), `nodes` and `projections`."""
    sources = {
        "frames": ("x", "y", "height", "title_x", "title_y", "title"),
        "edges": ("xs", "ys"),
        "heads": ("x", "y"),
        "nodes": ("x", "y", "width", "colour", "text"),
        "projections": ("x", "y", "text"),
    }
    frames, edges, heads, nodes, projections = (
        ColumnDataSource({column: [] for column in columns}, name=name) for name, columns in sources.items()
    )
    half = WIDTH / 2 + 0.1
    chart = _chart("graph", height=400, x_range=Range1d(start=-half, end=half), y_range=Range1d(), tools="save")
    chart.axis.visible = chart.grid.visible = False
    small: dict[str, Any] = {"text_font_size": "10px", "text_baseline": "middle"}
    chart.rect("x", "y", WIDTH, "height", source=frames, name="frame", fill_alpha=0.06, line_alpha=0.4)
    chart.text("title_x", "title_y", "title", source=frames, name="soft-text", **small)
    chart.multi_line("xs", "ys", source=edges, name="edge-lines", line_width=1)
    chart.scatter("x", "y", source=heads, marker="inverted_triangle", size=6, name="arrows")
    box: dict[str, Any] = {"height": 0.5, "line_dash": "dashed", "line_alpha": 0.6}
    chart.rect("x", "y", CHAIN, source=projections, name="projection", **box)
    chart.text("x", "y", "text", source=projections, text_align="center", name="soft-text", **small)
    chart.rect("x", "y", "width", 2 * HALF, source=nodes, fill_color="colour", line_color="#333333")
    chart.text("x", "y", "text", source=nodes, text_align="center", text_color="#111111", **small)
    return chart


def curves_chart(comparison: Comparison) -> figure:
    """What methods are judged by, step by step: runs thin, means thick, their 90 % intervals shaded."""
    tables = comparison.judged
    bottom, top = score_limits(tables)
    chart = _chart("curves", height=340, y_range=Range1d(start=bottom, end=top))
    chart.xaxis.axis_label = "evaluations"
    chart.yaxis.axis_label = f"{'recommended card' if comparison.problem.get('noisy') else 'best so far'} (points)"
    means: list[Any] = []
    for name, style in styles_of(tables).items():
        steps, values = _stairs(tables[name])
        line: dict[str, Any] = {"line_color": style.colour, "line_dash": style.dash, "name": f"run:{name}"}
        runs = {"xs": [steps] * len(values), "ys": list(np.round(values, 3))}
        chart.multi_line("xs", "ys", source=ColumnDataSource(runs), line_alpha=0.12, **line)
        mean = estimate(values)
        columns = {"x": steps, "y": mean.mean, "low": mean.low, "high": mean.high}
        source = ColumnDataSource({**columns, "method": [name] * len(steps)})
        chart.varea("x", "low", "high", source=source, fill_color=style.colour, fill_alpha=0.15, name=f"run:{name}")
        means.append(chart.line("x", "y", source=source, line_width=2, **line))
        some: dict[str, Any] = {
            "source": source,
            "view": CDSView(filter=IndexFilter(indices=_spread(len(steps), len(means)))),
        }
        marker, _ = MARKERS[style.mark]
        chart.scatter("x", "y", marker=marker, size=9, fill_color=style.colour, name=f"mark:{name}", **some)
    interval = "90 % interval @low{0.00} to @high{0.00}"
    tip = f"<div class='tip'><b>@method</b><br>@x evaluations: mean @y{{0.00}}<br>{interval}</div>"
    chart.add_tools(HoverTool(renderers=means, tooltips=tip, limit=3))
    return chart


def _stairs(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and values, each value kept until the next step."""
    steps = np.repeat(table.columns.to_numpy(dtype=float), 2)[1:]
    return steps, np.repeat(table.to_numpy(), 2, axis=1)[:, :-1]


def _spread(length: int, number: int) -> list[int]:
    """Where the marks of one of several curves are, which differ from those of the others as curves often meet."""
    return list(range(1 + 3 * number % 10, length, max(length // 8, 1)))


def _chart(name: str, height: int, tools: str = "pan,wheel_zoom,box_zoom,reset,save", **options: Any) -> figure:
    """An empty chart as wide as its place, transparent."""
    chart = figure(name=name, height=height, sizing_mode="stretch_width", tools=tools, **options)
    chart.background_fill_color = chart.border_fill_color = chart.outline_line_color = None
    chart.toolbar.logo = chart.toolbar.active_drag = None  # a finger scrolls the page
    return chart
