"""The runs of searches that are shipped."""

from __future__ import annotations

from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.settings import SETTINGS_FILE
from flexnas_bench.storage import data_folder, shipped_path

_FILES = ("{}.parquet", "{}_cards.parquet", f"{{}}_{SETTINGS_FILE}")


def has_runs(name: str) -> bool:
    """Whether runs of this name are shipped."""
    return (data_folder() / "runs" / f"{name}.parquet").exists()


def shipped_runs(*names: str) -> Comparison:
    """Shipped runs of one problem together, by names of their tables in `data/runs`.

    Raises:
        TableCorruptError: a file is not what was shipped.
        RunMismatchError: they are of different problems.
    """
    for name in names:
        for file in _FILES:
            shipped_path(f"runs/{file.format(name)}")
    return Comparison.read([data_folder() / "runs" / f"{name}.parquet" for name in names])
