"""`verify` and `compact`: whether tables are sound, and stores in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from flexnas_bench.cli.output import Json, StoreOption, print_json, say
from flexnas_bench.errors import TableCorruptError
from flexnas_bench.storage import data_folder
from flexnas_bench.store import Store
from flexnas_bench.verification import Check, verify_store, verify_tables

_SHOWN = 5  # problems of one check, before the rest are only counted


def verify(
    data: Annotated[Path | None, typer.Option(help="Folder of shipped tables; those installed if not given.")] = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Check every checksum, schema and reference of the shipped tables, and of a store."""
    if data is not None and not data.is_dir():
        raise TableCorruptError(f"there is no folder {data}")
    checks: Iterator[Check] = verify_tables(data or data_folder())
    if store is not None:
        checks = chain(checks, verify_store(Store(store)))
    found = []
    for check in checks:
        found.append(check)
        if not as_json:
            _show(check)
    if as_json:
        print_json([asdict(check) for check in found])
    if problems := sum(len(check.problems) for check in found):
        raise TableCorruptError(f"problems found: {problems}")


def compact(store: Annotated[Path, typer.Argument(help="Folder of your own results.")]) -> None:
    """Merge the parts of a store into one; others may go on reading and writing meanwhile."""
    parts = Store(store).compact()
    say(f"{store}: {parts} {'part' if parts == 1 else 'parts'}, now {min(parts, 1)}")


def _show(check: Check) -> None:
    say(f"{'ok    ' if not check.problems else 'WRONG '} {check.what} ({check.count:,})")
    for problem in check.problems[:_SHOWN]:
        say(f"         {problem}")
    if len(check.problems) > _SHOWN:
        say(f"         and {len(check.problems) - _SHOWN:,} more")
