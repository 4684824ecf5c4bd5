"""Pictures on disk: the same picture, the same bytes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from flexnas_bench.errors import OptionError
from flexnas_bench.storage import write_bytes

#: Metadata that would differ from run to run, by file type.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


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
