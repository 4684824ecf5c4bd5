"""`report`: a space, its scores and searches of it as one page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flexnas_bench.cli.output import StoreOption, progress_bars, say
from flexnas_bench.embedding.loading import LEARNED, load_embedding
from flexnas_bench.errors import NotInSpaceError, OptionError, shown
from flexnas_bench.loading import load_benchmark
from flexnas_bench.space import SPACE_NAMES, load_space
from flexnas_bench.storage import check_target

if TYPE_CHECKING:
    from flexnas_bench.searching.comparison import Comparison


def report(
    space: Annotated[str, typer.Option(help="Design space, of up to 20,000 cards.")] = "g1",
    runs: Annotated[
        list[Path] | None,
        typer.Option(help="Folder or table of runs whose curves are shown; may be given again. Else shipped ones."),
    ] = None,
    embedding: Annotated[str, typer.Option(help="Vectors whose principal axes are the map.")] = LEARNED[0],
    store: StoreOption = None,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
) -> None:
    """Write the explorer: one page with map, frontier, curves, and every card's graph, neighbours and scores."""
    from flexnas_bench.report.contents import contents
    from flexnas_bench.report.page import write_page

    check_target(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"--out: {shown(str(out))} is not the name of an .html file")
    cards = load_space(space)
    comparison = _own(runs, cards.name) if runs else _shipped(cards.name)
    try:
        with progress_bars() as tell:
            found = contents(load_benchmark(store=store), load_embedding(embedding, cards), store is None, tell)
    except NotInSpaceError as error:
        hint = "" if embedding == "one-hot" else "; one-hot has vectors of all cards"
        raise OptionError(f"--embedding: {embedding} does not describe space {cards.name}: {error}{hint}") from None
    words = ["flexnas-bench", "report", "--space", space, "--embedding", embedding]
    words += [word for path in runs or () for word in ("--runs", str(path))]
    note = f"Made by {shlex.join([*words, *(('--store', str(store)) if store else ())])}"
    write_page(found, comparison, note, out)
    say(f"{out}: {len(found['cards']):,} cards, {out.stat().st_size / 1e6:.1f} MB")


def _own(paths: Sequence[Path], space: str) -> Comparison:
    """Searches of a space; raises `OptionError` where they are of another, or have no value at all."""
    from flexnas_bench.searching.comparison import Comparison

    found = Comparison.read(paths)
    if all(best.isna().all(axis=None) for best in found.judged.values()):
        raise OptionError("--runs: not one evaluation of these has a value")
    if (searched := found.problem.get("space", space)) != space:
        raise OptionError(f"--runs: these are searches of {searched}, not of {space}")
    return found


def _shipped(space: str) -> Comparison | None:
    from flexnas_bench.searching.shipped_runs import has_runs, shipped_runs

    return shipped_runs(space) if space in SPACE_NAMES and has_runs(space) else None
