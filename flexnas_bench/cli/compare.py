"""`flexnas-bench compare`: methods side by side, in tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.cli.output import Json, StoreOption, print_json, say
from flexnas_bench.errors import FlexnasError, OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.searching.objective import choose_objective
from flexnas_bench.space import load_space

if TYPE_CHECKING:
    from flexnas_bench.searching.comparison import Comparison


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `run` left, or tables of runs.")],
    steps: Annotated[str, typer.Option(help="Evaluations after which to compare.")] = "20,40,100",
    target: Annotated[
        float | None, typer.Option(help="Value to be reached; by default one that half of the runs reach.")
    ] = None,
    optimum: Annotated[
        float | None, typer.Option(help="Best value there is, for regrets; by default of the space, where it is known.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pictures.")] = None,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Compare methods: best so far, regret, ranks, evaluations to a target, paired tests; means with 90 % intervals."""
    from flexnas_bench.searching.comparison import Comparison

    for name, number in (("--target", target), ("--optimum", optimum)):
        if number is not None and not math.isfinite(number):
            raise OptionError(f"{name} {number} is no score")
    if not all(step.strip().isdecimal() and len(step) < 16 and int(step) for step in steps.split(",")):
        raise OptionError(f"--steps {steps!r:.80} is no list of numbers such as 20,40,100")
    comparison = Comparison.read(runs)
    longest = min(max(table.columns) for table in comparison.best.values())
    wanted = sorted({int(step) for step in steps.split(",") if int(step) <= longest} | {longest})
    known, sources = _optimum_and_sources(comparison.problem, load_benchmark(store=store))
    best = known if optimum is None else optimum
    found = comparison.summary(wanted, comparison.target if target is None else target, best)
    if out is not None:
        _draw(comparison, out, best, sources)
    if as_json:
        print_json(found)
        return
    _show(found)
    if out is not None:
        say(f"pictures in {out}")


def _optimum_and_sources(problem: Mapping[str, Any], bench: Benchmark) -> tuple[float, str]:
    """The best value of a space that can be loaded by name, and who is to be cited for its scores.

    NaN and nothing where the space is not at hand, or the runs were told other scores.
    """
    try:
        space = load_space(problem["space"].rpartition(",")[2])
        objective = choose_objective(bench, space, problem["task"], problem["protocol"], problem["kind"])
        same = problem["scores_digest"] == objective.digest(space) and problem["space_digest"].endswith(space.digest)
    except (FlexnasError, KeyError):
        same = False
    return (objective.optimum(space), bench.cite(objective.query(space[0], 0))) if same else (math.nan, "")


def _draw(comparison: Comparison, out: Path, optimum: float, sources: str) -> None:
    from flexnas_bench.figures.trajectory import draw_trajectories

    out.mkdir(parents=True, exist_ok=True)
    problem = comparison.problem
    task, kind = problem.get("task", "value"), "predicted" if problem.get("kind") == "surrogate" else "trained"
    origin = " and ".join(sorted({o for frame in comparison.frames.values() for o in frame["origin"].unique()}))
    noise = " with noise" if problem.get("noisy") else ""
    note = f"{origin} scores{noise}" + (f", protocol {problem['protocol']}" if problem else "")
    note += f": {sources}" if sources else ""
    title = f"{kind} cards of {problem['space']}" if problem else "runs"
    drawings = {
        "best_so_far": (comparison.best, f"best {task} so far (points)", "evaluations"),
        "expected": (comparison.expected, f"expected {task} of the best card so far (points)", "evaluations"),
        "recommended": (comparison.recommended, f"expected {task} of the card recommended (points)", "evaluations"),
        "best_by_hours": (comparison.by_hours, f"best {task} so far (points)", "simulated hours"),
        "best_by_gpu_hours": (comparison.by_gpu_hours, f"best {task} so far (points)", "simulated GPU-hours"),
        "ranks": (comparison.ranks, "rank among methods (1 is best)", "evaluations"),
    }
    for name, (tables, ylabel, xlabel) in drawings.items():
        if any(len(table) for table in tables.values()):
            shown = name in ("expected", "recommended") if problem.get("noisy") else name.startswith("best")
            line = optimum if shown and not math.isnan(optimum) else None
            labels = {"title": title, "ylabel": ylabel, "note": note, "xlabel": xlabel}
            draw_trajectories(tables, out / f"{name}.png", **labels, optimum=line, raw=name != "ranks")


def _show(found: dict[str, Any]) -> None:
    methods, noisy = found["methods"], found["problem"].get("noisy")
    judged = "expected value of the card recommended" if noisy else "best value"
    titles = {
        "best": "best value so far",
        "regret": f"simple regret of the {judged} (the best there is: {found['optimum']:.2f})",
        "expected": "expected value of the card with the best reading so far",
        "recommended": "expected value of the card recommended: the evaluated one of the highest posterior mean",
        "rank": f"rank among methods by {judged} (1 is best)",
    }
    for what, title in titles.items():
        if any(method[what] for method in methods.values()):
            say(f"{title}, mean over seeds and 90 % interval")
            say(_table({name: method[what] for name, method in methods.items()}))
    say(f"evaluations to {judged} {found['target']:.2f}, median over seeds")
    table = Table(Column("method", overflow="fold"), "evaluations", "seeds that reached it", box=None)
    for name, method in methods.items():
        median, reached = method["evaluations_to_target_median"], method["seeds_that_reached_target"]
        table.add_row(name, "never" if math.isinf(median) else f"{median:g}", f"{reached} of {method['seeds']}")
    say(table)
    if found["pairs"]:
        say(f"paired differences in {judged}, 90 % interval, p of Wilcoxon's signed-rank test, each by itself")
        table = Table(Column("pair", overflow="fold"), "evaluations", "difference", "90 % interval", "p", box=None)
        for pair in found["pairs"]:
            interval = "one seed" if math.isnan(pair["low"]) else f"{pair['low']:+.2f} to {pair['high']:+.2f}"
            name = f"{pair['first']} - {pair['second']}"
            table.add_row(name, str(pair["step"]), f"{pair['mean']:+.2f}", interval, _p(pair["p"]))
        say(table)


def _table(rows: dict[str, list[dict[str, Any]]]) -> Table:
    """A row a method, a column a step."""
    steps = sorted({cell["step"] for cells in rows.values() for cell in cells})
    table = Table(Column("method", overflow="fold"), *(f"at {step}" for step in steps), box=None)
    for name, cells in sorted(rows.items()):
        table.add_row(name, *map(_cell, cells))
    return table


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _cell(row: dict[str, Any]) -> str:
    interval = "one seed" if math.isnan(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"
    return f"{row['mean']:.2f} ({interval})"
