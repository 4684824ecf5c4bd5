"""Tables of others, CSV or Parquet, row by row, with the line in every complaint."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flexnas_bench.errors import FlexnasError, OptionError, TableCorruptError
from flexnas_bench.storage import read_parquet

Row = dict[str, str]
T = TypeVar("T")
_Numbered = Iterator[tuple[str, dict[str, Any]]]


def read_rows(path: Path, parse: Callable[[Row], T]) -> list[T]:
    """The rows of a CSV file with a header, parsed one by one.

    Raises:
        TableCorruptError: the file is missing or empty, or a row does not parse; the text names file and line.
    """
    return _parse(path, _csv_rows(path), parse)


def read_table(path: Path, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
    """The rows of a CSV or Parquet file by its ending, parsed one by one; raises as `read_rows` does.

    Raises:
        OptionError: a file of another ending.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise OptionError(f"{path} is neither a .csv nor a .parquet file")
    return _parse(path, _csv_rows(path) if path.suffix.lower() == ".csv" else _parquet_rows(path), parse)


def _parse(path: Path, rows: _Numbered, parse: Callable[[Any], T]) -> list[T]:
    parsed: list[T] = []
    for where, row in rows:
        try:
            parsed.append(parse(row))
        except (KeyError, TypeError, ValueError, FlexnasError) as error:
            what = f"no column {error}" if isinstance(error, KeyError) else error
            raise TableCorruptError(f"{path}, {where}: {what}") from None
    if not parsed:
        raise TableCorruptError(f"{path} has no rows")
    return parsed


def _csv_rows(path: Path) -> _Numbered:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for row in reader:
                where = f"line {reader.line_num}"
                if None in row or None in row.values():
                    raise TableCorruptError(f"{path}, {where}: not as many cells as the header has")
                yield where, row
    except TableCorruptError:
        raise
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableCorruptError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def _parquet_rows(path: Path) -> _Numbered:
    for number, row in enumerate(read_parquet(path).to_pylist(), 1):
        yield f"row {number}", row
