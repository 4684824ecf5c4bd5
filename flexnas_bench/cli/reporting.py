"""`report`: a space, its scores and searches of it as one page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flexnas_bench.cli.output import StoreOption, progress_bars, say
from flexnas_bench.embedding.loading import LEARNED, load_embedding
from flexnas_bench.errors import NotInSpaceError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.space import SPACE_NAMES, load_space
from flexnas_bench.storage import check_target, data_folder


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
    from flexnas_bench.searching.comparison import Comparison

    check_target(out)
    cards = load_space(space)
    shipped = data_folder() / "runs" / f"{cards.name}.parquet"
    paths = runs or ([shipped] if cards.name in SPACE_NAMES and shipped.exists() else [])
    comparison = Comparison.read(paths) if paths else None
    if comparison and all(best.isna().all(axis=None) for best in comparison.judged.values()):
        raise OptionError("--runs: not one evaluation of these has a value")
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
