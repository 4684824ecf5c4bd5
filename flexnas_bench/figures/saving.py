"""Pictures on disk: the same picture, the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from flexnas_bench.errors import OptionError
from flexnas_bench.storage import write_bytes

#: Okabe and Ito, and two more that are told apart from these.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933", "#882255")
#: The colour of each method, the same in all pictures.
METHODS = dict(
    zip(
        ("random", "evolution", "reinforce", "gp-bo", "bananas", "boshnas", "deep-wide", "local-search", "tpe"),
        (COLOURS[i] for i in (6, 4, 2, 5, 3, 1, 7, 8, 0)),
        strict=True,
    )
)
#: Metadata that would differ from run to run, by file type.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: that of the method, and to others those that are left, in turn."""
    names = list(dict.fromkeys(names))
    left = [colour for colour in COLOURS if colour not in {METHODS.get(name) for name in names}] or COLOURS
    others = cycle(left)
    return {name: METHODS.get(name) or next(others) for name in names}


def picture_type(path: Path) -> str:
    """The type of a picture by its suffix; raises `OptionError` for one that is not drawn."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _METADATA:
        raise OptionError(f"{path}: a picture is one of {', '.join(f'.{known}' for known in _METADATA)}")
    return kind


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure, all or nothing; raises `OptionError` for a file type that is not drawn."""
    kind = picture_type(path)
    picture = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "flexnas-bench", "svg.fonttype": "none"}):
        figure.savefig(picture, format=kind, metadata=_METADATA[kind])
    write_bytes(path, picture.getvalue())
