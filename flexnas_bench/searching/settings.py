"""What a search is: everything that decides its proposals, so that a folder knows whose it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flexnas_bench.errors import RunMismatchError
from flexnas_bench.results import GLUE8
from flexnas_bench.storage import write_bytes

_FILE = "settings.json"


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search, the same for all its seeds.

    Attributes:
        optimizer: name of an installed optimizer.
        space: name of a design space.
        task: task whose score is maximised.
        protocol: training recipe; `None` is the benchmark's default.
        embedding: name of an embedding, for optimizers that use one.
        initial: how many cards to draw before the optimizer proposes, or their hashes.
        options: the optimizer's own options.
        version: of flexnas-bench.
    """

    optimizer: str
    space: str = "pool"
    task: str = GLUE8
    protocol: str | None = None
    embedding: str = "one-hot"
    initial: int | list[str] = 10
    options: dict[str, Any] = field(default_factory=dict)
    version: str = field(default_factory=lambda: version("flexnas-bench"))

    def claim(self, out: Path) -> None:
        """Writes the settings into a new folder, or checks that they are those of an old one.

        Raises:
            RunMismatchError: the folder holds a search with other settings, or something else altogether.
        """
        path = out / _FILE
        if not path.exists():
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise RunMismatchError(f"{out} is not empty and holds no search; name another folder with --out")
            write_bytes(path, json.dumps(asdict(self), indent=2).encode() + b"\n")
            return
        try:
            there = json.loads(path.read_bytes())
        except ValueError:
            raise RunMismatchError(f"{path} is not readable as settings of a search") from None
        mine = json.loads(json.dumps(asdict(self)))
        for name in [f.name for f in fields(self)]:
            if not isinstance(there, dict) or there.get(name) != mine[name]:
                old = there.get(name) if isinstance(there, dict) else None
                raise RunMismatchError(
                    f"{out} holds another search: its {name} is {old!r}, not {mine[name]!r}; "
                    "name another folder with --out"
                )
