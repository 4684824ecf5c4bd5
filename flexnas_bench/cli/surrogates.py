"""`flexnas-bench surrogate`: how good predictions are, and making them again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.cli.output import Json, StoreOption, print_json, progress_bar, progress_bars, say
from flexnas_bench.embedding.base import MATRIX_LIMIT
from flexnas_bench.errors import NotMeasuredError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.processes import cores
from flexnas_bench.results import DEFAULT_PROTOCOL, FITTED_FILE, GLUE8
from flexnas_bench.space import load_space
from flexnas_bench.storage import check_target, read_toml, renew_checksum, write_bytes, write_parquet

if TYPE_CHECKING:
    from flexnas_bench.surrogate import CurveSurrogate, Trained
    from flexnas_bench.surrogate.evaluation import Evaluation, Judgement
    from flexnas_bench.surrogate.judging import Interval

surrogate_app = typer.Typer(help="Predicted scores: how good they are, and how they are made.")
_CORES = cores()
Task = Annotated[str, typer.Option(help="Task whose scores are predicted.")]
Protocol = Annotated[str, typer.Option(help="Training recipe.")]


@surrogate_app.callback()
def _group() -> None:
    """Predicted scores: how good they are, and how they are made."""


@surrogate_app.command(epilog="Example: flexnas-bench surrogate evaluate --task rte")
def evaluate(
    task: Task = GLUE8,
    protocol: Protocol = DEFAULT_PROTOCOL,
    store: StoreOption = None,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="How many times ten folds are dealt.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, max=4096, help="Processes; by default one for each core.")] = _CORES,
    figure: Annotated[Path | None, typer.Option(help="Draw calibration into this .png or .svg file.")] = None,
    as_json: Json = False,
) -> None:
    """Judge predictions by trained cards that they were not fitted to."""
    from flexnas_bench.figures.calibration import draw_calibration  # matplotlib and scikit-learn, which others
    from flexnas_bench.figures.saving import picture_type  # do without
    from flexnas_bench.surrogate import CurveSurrogate, Surrogate
    from flexnas_bench.surrogate.evaluation import evaluate as judge_all

    if figure is not None:
        picture_type(figure)
        check_target(figure)
    bench = load_benchmark(store=store)
    surrogate = bench.surrogate(task, protocol)
    facts = {"task": task, "protocol": protocol, "source": surrogate.source, "digest": surrogate.digest}
    if isinstance(surrogate, CurveSurrogate):
        if figure is not None:
            raise OptionError(f"--figure: {protocol} is a checkpoint, predicted by a line, and has no calibration")
        _show_curve(surrogate, facts, as_json)
        return
    assert isinstance(surrogate, Surrogate)  # noqa: S101 - the tables know no other
    with progress_bars() as tell:
        found = judge_all(surrogate, repeats=repeats, jobs=jobs if jobs > 1 else None, progress=tell)
    if figure is not None:
        draw_calibration(
            found,
            figure,
            title=f"Predicted {task}, protocol {protocol}: {repeats} times ten folds",
            note=f"predictions from, and compared with: {bench.citations(surrogate.source)}",
        )
    if as_json:
        parts = ("noise", "judged", "regions", "left_out", "curve")
        print_json(facts | {"claimed_noise": surrogate.noise} | {part: _plain(getattr(found, part)) for part in parts})
    else:
        _show(found, facts, bench)


def _show_curve(surrogate: CurveSurrogate, facts: dict[str, str], as_json: bool) -> None:
    """A checkpoint of learning curves: the line, and how far off each card is without itself."""
    errors = np.abs(surrogate.errors)
    found: dict[str, Any] = {
        "cards": len(errors),
        "slope": surrogate.slope,
        "median_error": float(np.median(errors)),
        "root_mean_square_error": float(np.sqrt(np.square(errors).mean())),
        "largest_error": float(errors.max()),
    }
    if as_json:
        print_json({**facts, **found})
        return
    say(f"{facts['task']} under {facts['protocol']}: {surrogate.slope:.2f} points for each of {DEFAULT_PROTOCOL}")
    say(
        f"errors of {len(errors)} cards, each left out (points): median {found['median_error']:.2f}, "
        f"root mean square {found['root_mean_square_error']:.2f}, largest {found['largest_error']:.2f}"
    )


def _plain(value: Any) -> Any:
    """Intervals as dictionaries, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value._asdict()


@surrogate_app.command(epilog="Example: flexnas-bench surrogate fit --store my-results --protocol my-recipe")
def fit(
    tasks: Annotated[
        str | None, typer.Option("--task", help="Tasks, such as rte,qnli; by default all that do.")
    ] = None,
    protocol: Protocol = DEFAULT_PROTOCOL,
    store: StoreOption = None,
    space: Annotated[str | None, typer.Option(help="Predict all cards of this space too, such as g1.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for models.toml and SPACE.parquet; by default surrogate/ in the store.")
    ] = None,
) -> None:
    """Fit the models of predicted scores to the tables, and to your own store; the store's are used from then on."""
    from flexnas_bench.surrogate import Surrogate  # scipy, which other commands begin without
    from flexnas_bench.surrogate.fitted import FittedModel, fitted_text, read_fitted
    from flexnas_bench.surrogate.model import describing
    from flexnas_bench.surrogate.table import prediction_table

    if out is None and store is None:
        raise OptionError("--out: name a folder, or a store with --store")
    folder = out if out is not None else Path(f"{store}") / Path(FITTED_FILE).parent
    cards = None if space is None else load_space(space)
    if cards is not None and cards.size > MATRIX_LIMIT:
        raise OptionError(f"--space: {cards.size:,} cards are too many for a table; at most {MATRIX_LIMIT:,}")
    trained = _trained(load_benchmark(store=store), protocol, tasks)
    path = folder / Path(FITTED_FILE).name
    there = read_fitted(read_toml(path), str(path)) if path.exists() else {}
    for found in trained.values():
        if cards is not None:
            describing([t.card for t in found if t.scores]).index(cards[0])
    check_target(path)
    models = {}
    with progress_bar("models", len(trained)) as tell:
        for task, found in trained.items():
            models[task] = Surrogate(found)
            if tell:
                tell(len(models))
    table = None if cards is None else prediction_table(cards, [(task, protocol, m) for task, m in models.items()])
    kept = {digest: m for digest, m in there.items() if m.protocol != protocol or m.task not in models}
    fresh = {model.facts: FittedModel(task, protocol, model.fitted) for task, model in models.items()}
    write_bytes(path, fitted_text(kept | fresh).encode())
    renew_checksum(path)
    say(f"{path}: {len(fresh)} models fitted ({', '.join(models)})")
    if cards is not None and table is not None:
        target = folder / f"{cards.name}.parquet"
        write_parquet(target, table)
        renew_checksum(target)
        say(f"{target}: {table.num_rows:,} predictions")


def _trained(bench: Benchmark, protocol: str, tasks: str | None) -> dict[str, list[Trained]]:
    """Trained cards by task, of all tasks that have enough if none are named."""
    from flexnas_bench.surrogate.model import FEWEST

    names = bench.tasks if tasks is None else [task.strip() for task in tasks.split(",")]
    trained = {task: bench.trained(task, protocol) for task in names}
    enough = {task: found for task, found in trained.items() if tasks or sum(bool(t.scores) for t in found) >= FEWEST}
    if not enough:
        raise NotMeasuredError(f"no task has {FEWEST} scored cards under protocol {protocol}")
    return enough


def _show(found: Evaluation, facts: Mapping[str, str], bench: Benchmark) -> None:
    trained = found.surrogate.trained
    trainings, failed = sum(t.trainings for t in trained), sum(len(t.failed_scores) for t in trained)
    say(f"{facts['task']} under {facts['protocol']}: {trainings} trainings of {len(trained)} cards, {failed} failed")
    say(f"source: {bench.citations(facts['source'])}")
    claimed = ", ".join(f"l={depth} {noise:.2f}" for depth, noise in found.surrogate.noise.items())
    read = "none was repeated" if math.isnan(found.noise.value) else f"{_cell(found.noise)} from repeated trainings"
    say(f"noise of a training (points): {read}; claimed by depth: {claimed}")
    for group, models in found.judged.items():
        say(f"\nin ten folds, {group}; 90 % intervals over cards")
        say(_table(models))
    for what, groups in (
        ("in ten folds, by region", found.regions),
        ("without any card of", found.left_out),
        ("fitted to so many cards, mean of five draws (lowest to highest)", found.curve),
    ):
        say(f"\n{what}")
        say(_groups(groups))


def _table(columns: Mapping[str, Judgement]) -> Table:
    """A row a figure, a column a model or a group."""
    table = Table("", *columns, box=None)
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        table.add_row(name, *(_cell(column[name]) if name in column else "" for column in columns.values()))
    return table


def _groups(groups: Mapping[Any, Judgement]) -> Table:
    """A row a group, a column a figure."""
    chosen = ("Kendall tau", "R2", "mean absolute error", "bias", "inside 80 %", "error of costs")
    table = Table("", *chosen, box=None)
    for group, judgement in groups.items():
        table.add_row(str(group), *(_cell(judgement[name]) for name in chosen))
    return table


def _cell(figure: Interval) -> str:
    if math.isnan(figure.value):
        return ""
    interval = "" if math.isnan(figure.low) else f" ({figure.low:.2f} to {figure.high:.2f})"
    return f"{figure.value:.3f}{interval}"
