"""`figures`: the paper's pictures, again, from what is shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flexnas_bench.cli.output import say
from flexnas_bench.errors import OptionError
from flexnas_bench.loading import load_benchmark


def figures(
    numbers: Annotated[list[str], typer.Argument(help="Of the paper's figures: 2, 4, 5, 6, 7, 8; or all.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures, their numbers and their captions.")],
) -> None:
    """Draw figures of the paper from shipped tables and runs; nothing is computed that is not shipped."""
    from flexnas_bench.figures.paper.registry import FIGURES

    wanted = list(FIGURES) if numbers == ["all"] else list(dict.fromkeys(numbers))
    for number in wanted:
        if number not in FIGURES:
            raise OptionError(f"figure {number!r:.20} is none of {', '.join(FIGURES)}, or all")
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out: {out} is no folder")
    bench = load_benchmark()
    for number in wanted:
        for name, draw in FIGURES[number].items():
            plate = draw(bench)
            command = f"flexnas-bench figures {number} --out {out.name}"
            plate = replace(plate, caption=f"{plate.caption} Command: {command}.")
            say("\n".join(map(str, plate.save(out, name))))
