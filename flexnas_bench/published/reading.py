"""CSV files, row by row, with the line in every complaint."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flexnas_bench.errors import FlexnasError, TableCorruptError

Row = dict[str, str]
T = TypeVar("T")


def read_rows(path: Path, parse: Callable[[Row], T]) -> list[T]:
    """The rows of a CSV file with a header, parsed one by one.

    Raises:
        TableCorruptError: the file is missing or empty, or a row does not parse; the text names file and line.
    """
    parsed: list[T] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for row in reader:
                try:
                    if None in row or None in row.values():
                        raise ValueError("not as many cells as the header has")
                    parsed.append(parse(row))
                except (KeyError, TypeError, ValueError, FlexnasError) as error:
                    what = f"no column {error}" if isinstance(error, KeyError) else error
                    raise TableCorruptError(f"{path}, line {reader.line_num}: {what}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, TableCorruptError):
            raise
        raise TableCorruptError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    if not parsed:
        raise TableCorruptError(f"{path} has no rows")
    return parsed
