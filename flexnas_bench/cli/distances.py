"""`ged` and `embed`: how near architectures are, and vectors that follow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from flexnas_bench.cli.output import Json, print_json, progress_bars, say
from flexnas_bench.distance.alignment import alignment_distance
from flexnas_bench.distance.blocks import EDGE_COST, numbering
from flexnas_bench.distance.ged import ged as exact_distance
from flexnas_bench.distance.kept import check_size, space_distances
from flexnas_bench.distance.matched import Problem, write_answers
from flexnas_bench.distance.overlap import biased_overlap
from flexnas_bench.distance.pairs import SECONDS, Matrix, ged_bounds
from flexnas_bench.embedding.base import Vectors
from flexnas_bench.embedding.transformer2vec import DISTANCES, Transformer2vec, write_vectors
from flexnas_bench.errors import NotInSpaceError, OptionError, shown
from flexnas_bench.loading import load_benchmark
from flexnas_bench.processes import Progress, cores
from flexnas_bench.results import GLUE8
from flexnas_bench.space import DesignSpace, load_space
from flexnas_bench.storage import check_target, renew_checksum, user_cache, write_array

if TYPE_CHECKING:
    from flexnas_bench.figures.embedding import Scored

GED = "ged"
MOST_DIMENSIONS, MOST_JOBS = 256, 4_096
CORES = cores()
SUFFIX = ".parquet"
Seconds = Annotated[float, typer.Option(help="Time for one problem that no table answers.")]
Jobs = Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Processes and threads; by default one for each core.")]


def ged(
    cards: Annotated[list[str] | None, typer.Argument(help="Two cards: JSON, hash or name (bert-tiny, ...).")] = None,
    space: Annotated[str | None, typer.Option(help="All pairs of this space, kept in the cache folder.")] = None,
    edge_cost: Annotated[float, typer.Option(help="Cost of inserting or deleting an edge.")] = EDGE_COST,
    seconds: Seconds = SECONDS,
    jobs: Jobs = CORES,
    out: Annotated[Path | None, typer.Option(help="Write the distances of all pairs into this .npy file.")] = None,
    solve_table: Annotated[
        Path | None, typer.Option(help="Solve all problems of the space anew, and write the answers into this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Graph edit distance of two cards, or of all pairs of a space: exact, or else within bounds that are told."""
    if space is None:
        if len(cards or ()) != 2 or out or solve_table:
            raise OptionError("name two cards, or a space with --space")
        bench = load_benchmark()
        a, b = (bench.card(text) for text in cards or ())
        facts = {
            "ged": exact_distance(a, b, edge_cost=edge_cost, seconds=seconds),
            "alignment_distance": alignment_distance(a, b, edge_cost=edge_cost),
            "biased_overlap": biased_overlap(a, b),
        }
    else:
        if cards:
            raise OptionError("name two cards or a space, not both")
        _check_target("--out", out, ".npy")
        _check_target("--solve-table", solve_table, SUFFIX)
        facts = _all_pairs(load_space(space), edge_cost, seconds, jobs, out, solve_table)
    print_json(facts) if as_json else _show(facts)


def _all_pairs(
    space: DesignSpace, edge_cost: float, seconds: float, jobs: int, out: Path | None, table: Path | None
) -> dict[str, Any]:
    started = time.perf_counter()
    with progress_bars() as tell:
        if table is None:
            lower, upper = space_distances(space, edge_cost=edge_cost, seconds=seconds, jobs=jobs, progress=tell)
        else:
            lower, upper = _solve_anew(space, edge_cost, seconds, jobs, table, tell)
    took = time.perf_counter() - started
    if out is not None:
        write_array(out, upper if lower is upper else np.stack([lower, upper]))
    facts = _facts(space, lower, upper)
    return facts | {"seconds": took, "microseconds_a_pair": 1e6 * took / max(1, facts["pairs"])}


def _solve_anew(
    space: DesignSpace, edge_cost: float, seconds: float, jobs: int, table: Path, tell: Progress | None
) -> tuple[Matrix, Matrix]:
    """All pairs without any table, and the table."""
    check_size(space)
    if space.choices.heads and edge_cost * (max(space.choices.heads) + 3) > 1:
        raise OptionError("--solve-table: with so many heads, or edges so dear, there is no such table (docs/ged.md)")
    known: dict[Problem, int] = {}
    journal = user_cache() / "ged" / f"anew-{space.digest}.jsonl"
    bounds = ged_bounds(
        space,
        edge_cost=edge_cost,
        choices=numbering(space.choices),
        seconds=seconds,
        jobs=jobs,
        known=known,
        journal=journal,
        progress=tell,
    )
    if bounds[0] is not bounds[1]:
        raise OptionError(f"--seconds: in {seconds:g} s each, not all problems could be solved; what was is kept")
    write_answers(table, known)
    renew_checksum(table)
    journal.unlink()
    return bounds


def embed(
    space: Annotated[str, typer.Option(help="Space whose cards are embedded.")] = "g1",
    distance: Annotated[str, typer.Option(help="What distances follow: ged, or alignment (of layers in order).")] = GED,
    dim: Annotated[int, typer.Option(help="Length of a vector.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the sample that is placed first.")] = 0,
    seconds: Seconds = SECONDS,
    jobs: Jobs = CORES,
    out: Annotated[Path | None, typer.Option(help="Table of vectors; by default t2v-SPACE-dDIM.parquet.")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Also draw the map, the Shepard diagram and the knee into this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn Transformer2vec: vectors whose Euclidean distances follow a distance between cards (section 3.3.2)."""
    from flexnas_bench.embedding.scaling import scale

    kind = DISTANCES.get(distance)
    if kind is None:
        raise OptionError(f"--distance: {shown(distance)} is none of {', '.join(DISTANCES)}")
    if not 1 <= dim <= MOST_DIMENSIONS or seed < 0:
        raise OptionError(f"--dim must be 1 to {MOST_DIMENSIONS} and --seed 0 or more")
    found = load_space(space)
    if found.size < 2:
        raise OptionError(f"--space: {found!r} has no pairs")
    path = out or Path(f"{kind.prefix}-{found.name}-d{dim}{SUFFIX}")
    _check_target("--out", path, SUFFIX)
    if figures is not None:
        check_target(figures / "map.png")
    with progress_bars() as tell:
        lower, upper = kind.all_pairs(found, seconds, jobs, tell)
        given = upper if lower is upper else np.asarray((lower + upper) / 2, np.float32)
        started = time.perf_counter()
        scaled = scale(given, dim, seed=seed, progress=tell)
        took = time.perf_counter() - started
        write_vectors(path, found, distance, scaled.points, given)
        renew_checksum(path)
        if figures is not None:
            _draw(found, given, kind.what, path, scaled.points, figures, tell)
    facts = {"distance": distance, "dimensions": dim, "mean_squared_error": scaled.error, "vectors": str(path)}
    facts = _facts(found, lower, upper) | facts | {"seconds": took}
    print_json(facts) if as_json else _show(facts)


def _check_target(option: str, path: Path | None, suffix: str) -> None:
    """Refuses what could not be written, or would not be known again, before anything is computed."""
    if path is not None:
        if path.suffix != suffix:
            raise OptionError(f"{option}: {shown(str(path))} is not the name of a {suffix} file")
        check_target(path)


def _facts(space: DesignSpace, lower: Matrix, upper: Matrix) -> dict[str, Any]:
    """What is to be said of a matrix of distances."""
    pairs = space.size * (space.size - 1) // 2
    return {
        "space": space.name,
        "pairs": pairs,
        "exact": pairs if lower is upper else pairs - int(np.count_nonzero(lower != upper)) // 2,
        "mean_distance": float(upper.sum(dtype=np.float64)) / max(1, 2 * pairs),
        "largest_distance": float(upper.max()),
    }


def _show(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        number = f"{value:,}" if isinstance(value, int) else f"{value:,.6g}" if isinstance(value, float) else value
        say(f"{name.replace('_', ' ')}: {number}")


def _draw(
    space: DesignSpace, given: Matrix, what: str, table: Path, points: Vectors, folder: Path, tell: Progress | None
) -> None:
    """The map, the Shepard diagram, and the knee."""
    from flexnas_bench.embedding.knee import DIMENSIONS, SAMPLE, error_by_dimension, knee
    from flexnas_bench.figures.embedding import draw_knee, draw_map, draw_shepard

    name = table.stem
    draw_map(
        list(space), points, folder / f"{name}-map.png", title=f"{name} of space {space.name}", scored=_scored(table)
    )
    draw_shepard(given, points, folder / f"{name}-shepard.png", title=f"{name}, random pairs", what=what)
    errors = error_by_dimension(given, progress=tell)
    chosen = knee(DIMENSIONS, errors)
    draw_knee(
        DIMENSIONS,
        errors,
        chosen,
        folder / f"{name}-knee.png",
        title=f"{what}, {min(space.size, SAMPLE):,} cards of {space.name}",
    )


def _scored(table: Path) -> Scored | None:
    """The trained cards of the pool, where they have vectors."""
    from flexnas_bench.figures.embedding import Scored

    bench, pool = load_benchmark(), load_space("pool")
    best = bench.best(GLUE8)
    try:
        vectors = Transformer2vec(pool, table).matrix
    except NotInSpaceError:  # a space of other blocks
        return None
    source = f"{best.origin} scores of the {pool.size} cards of pool, protocol {best.protocol}: {bench.cite(best)}"
    return Scored(vectors, bench.query_many(pool, GLUE8), f"{GLUE8} (points)", source)
