"""The page: its parts, put into one file that asks for nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from bokeh.palettes import Viridis256
from bokeh.resources import Resources

from flexnas_bench.figures.styles import COLOURS, Style, styles_of
from flexnas_bench.figures.trajectory import seeds_text
from flexnas_bench.report.charts import MARKERS, WRITTEN, card_charts, curves_chart, graph_chart
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.storage import write_bytes

#: Parts of the script, in the order in which they need each other.
_SCRIPTS = ("cards.js", "charts.js", "card.js", "page.js")
#: Is drawn in the colour of text, which is light on the dark page.
_INK = "#000000"


def write_page(content: Mapping[str, Any], comparison: Comparison | None, note: str, path: Path) -> None:
    """Writes a page, whole or not at all.

    Args:
        content: what `contents` found.
        comparison: searches whose curves it shows, if any.
        note: how the page was made, for its foot.
        path: the file.
    """
    charts = [*card_charts(), graph_chart(), *([] if comparison is None else [curves_chart(comparison)])]
    document = Document(title=f"{content['space']['name']}: flexnas-bench")
    for chart in charts:
        document.add_root(chart)
    drawn, ids = _numbered(serialize_json(document.to_json(deferred=False)))
    data = {
        **content,
        "ramp": Viridis256,
        "palette": [colour for colour in COLOURS if colour != _INK],
        "ink": _INK,
        "marks": WRITTEN,
        "runs": None if comparison is None else _runs(comparison),
        "roots": {ids[chart.id]: chart.name for chart in charts},
        "note": note,
    }
    parts = {
        "title": escape(document.title),
        "style": _part("page.css"),
        "library": Resources(mode="inline", components=["bokeh"]).js_raw[0],
        "charts": _inside(drawn),
        "data": _inside(json.dumps(data, separators=(",", ":"), allow_nan=False)),
        "script": "\n".join(map(_part, _SCRIPTS)),
    }
    write_bytes(path, Template(_part("page.html")).substitute(parts).encode())


def _runs(comparison: Comparison) -> dict[str, Any]:
    """The methods of searches and how they are drawn, and what they searched."""
    problem, frames = comparison.problem, comparison.frames
    origins = sorted({str(origin) for frame in frames.values() for origin in frame["origin"]})
    known = [f"{name} {problem[name]}" for name in ("space", "task", "protocol") if name in problem]
    noise = ["readings with the noise of a training"] if problem.get("noisy") else []
    what = ", ".join([*known, f"{' and '.join(origins)} scores", *noise])
    return {
        "methods": {name: _shown(style) for name, style in styles_of(comparison.judged).items()},
        "caption": f"Searches of {what}; {seeds_text(comparison.judged)}runs thin.",
    }


def _shown(style: Style) -> dict[str, str]:
    return {"colour": style.colour, "dash": style.dash, "mark": MARKERS[style.mark][1]}


def _numbered(text: str) -> tuple[str, dict[str, str]]:
    """Bokeh's document with names of models that do not depend on what was drawn before, and these by the old ones."""
    known = re.compile('"id":"([^"]+)"')
    ids = {old: f"p{i}" for i, old in enumerate(dict.fromkeys(known.findall(text)))}
    return known.sub(lambda found: f'"id":"{ids[found[1]]}"', text), ids


def _part(name: str) -> str:
    return files("flexnas_bench.report").joinpath(name).read_text(encoding="utf-8")


def _inside(text: str) -> str:
    """JSON as it may stand in a script element, whatever a store calls its protocols."""
    return text.replace("<", "\\u003c")
