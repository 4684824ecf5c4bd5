"""What `flexnas-bench run` has to say at its end: a picture, a summary for programs, a table for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from rich.table import Table

from flexnas_bench.answers import Result
from flexnas_bench.card import ModelCard
from flexnas_bench.cli.output import describe, say
from flexnas_bench.results import PREDICTED
from flexnas_bench.searching.journal import count_records, journals
from flexnas_bench.searching.runner import Search
from flexnas_bench.searching.runs import CARDS_FILE, RUNS_FILE, Run, read_cards

PICTURE = "best_so_far.png"


def draw(search: Search, runs: Sequence[Run], folder: Path) -> None:
    """Draws the best value so far of every seed into the folder."""
    import pandas as pd

    from flexnas_bench.figures.trajectory import draw_trajectories
    from flexnas_bench.searching.analysis import best_so_far

    frame, settings, bench = pd.concat([run.frame for run in runs]), search.settings, search.objective.bench
    found = search.objective.query(search.levels[0][0], 0)
    optimum = math.nan if settings.noisy else search.objective.optimum(search.levels[-1])
    what = " and ".join(sorted(frame["origin"].unique())) + " scores" + (" with noise" if settings.noisy else "")
    draw_trajectories(
        {settings.optimizer: best_so_far(frame)},
        folder / PICTURE,
        title=f"{settings.optimizer} on space {settings.space}",
        ylabel=f"best {settings.task} so far (points)",
        note=f"{what}, protocol {settings.protocol}: {bench.cite(found)}",
        optimum=None if math.isnan(optimum) else optimum,
    )


def summarise(search: Search, runs: Sequence[Run], folder: Path) -> dict[str, Any]:
    """All that is worth knowing of the runs of a folder, for `summary.json`."""
    import pandas as pd

    from flexnas_bench.searching.analysis import best_so_far, estimate

    settings, initial = search.settings, search.make(search.levels[0], 0).initial_size
    best = estimate(best_so_far(pd.concat([run.frame for run in runs])).to_numpy())
    rows = [row for run in runs for row in run.rows]
    winner = max(rows, key=lambda row: -math.inf if math.isnan(row["value"]) else row["value"])
    cards = read_cards(folder / CARDS_FILE).set_index("card_hash")["card"]
    card = ModelCard.from_json(cards[winner["card_hash"]])
    converged = {run.rows[0]["seed"]: run.converged_at for run in runs}
    when = [step for step in converged.values() if step is not None]
    return {
        "settings": asdict(settings),
        "seeds": len(runs),
        "best_so_far": [
            {"step": step, "mean": best.mean[step - 1], "low": best.low[step - 1], "high": best.high[step - 1]}
            for step in _milestones(len(best.mean))
        ],
        "levels": list(_levels(search, runs)) if len(search.levels) > 1 else [],
        "best_card": card.to_dict(),
        "best_result": asdict(search.objective.query(card, winner["seed"])),
        "best_expected": search.objective.expected([card])[0],
        "seeds_that_found_it": len({row["seed"] for row in rows if row["card_hash"] == winner["card_hash"]}),
        "converged_at": converged,
        "seeds_converged": len(when),
        "converged_at_median": median(when) if when else None,
        "ask_seconds_mean": fmean([row["ask_seconds"] for row in rows if row["step"] > initial] or [0.0]),
        "simulated_hours_mean": fmean(run.rows[-1]["finished_at"] for run in runs) / 3600,
        "transfers_mean": fmean(run.transfers for run in runs),
        "evaluations": len(rows),
        "notes": list(_notes(search, initial, len(rows), folder)),
        "runs": str(folder / RUNS_FILE),
        "picture": str(folder / PICTURE),
    }


def show(summary: dict[str, Any]) -> None:
    """Prints what a person wants to see of a summary."""
    settings, result = summary["settings"], Result(**summary["best_result"])
    table = Table("evaluations", "mean best so far", "90 % interval", box=None)
    for row in summary["best_so_far"]:
        table.add_row(str(row["step"]), f"{row['mean']:.2f}", _interval(row, summary["seeds"]))
    say(f"{settings['optimizer']} on {settings['space']}, {settings['task']}, seeds: {summary['seeds']}")
    say(table)
    if summary["levels"]:
        _show_levels(summary["levels"], summary["seeds"])
    say(f"best card: {describe(result)}; found by {summary['seeds_that_found_it']} of {summary['seeds']} seeds")
    if not math.isnan(summary["best_expected"]) and (result.origin != PREDICTED or settings["noisy"]):
        say(f"its expected value, as the best of many readings is partly luck: {summary['best_expected']:.2f}")
    say(json.dumps(summary["best_card"]))
    if summary["seeds_converged"]:
        say(
            "criterion of section 4.1 (five evaluations without a better score) met by "
            f"{summary['seeds_converged']} of {summary['seeds']} seeds, "
            f"at {summary['converged_at_median']:g} evaluations in the median"
        )
    if not math.isnan(summary["simulated_hours_mean"]):
        transfers = f", {summary['transfers_mean']:.1f} transfers of weights a seed" if settings["overlap"] else ""
        hours = f"{summary['simulated_hours_mean']:.1f} hours on {settings['workers']} simulated workers"
        say(f"{hours}{transfers}")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"runs in {summary['runs']}, picture {summary['picture']}; {summary['ask_seconds_mean']:.2f} s a proposal")


def _milestones(longest: int) -> list[int]:
    """Steps worth a row of the table: 10, 20, 40, and the last."""
    return sorted({step for step in (10, 20, 40) if step < longest} | {longest})


def _levels(search: Search, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """What each level gained: best values at its end, and over the end of the level before."""
    from flexnas_bench.searching.analysis import estimate

    ends = np.array([run.level_ends for run in runs])
    best = np.array([[run.rows[end - 1]["best"] if end else math.nan for end in run.level_ends] for run in runs])
    for number, level in enumerate(search.levels):
        reached, gained = (estimate(x[:, number]) for x in (best, np.diff(best, axis=1, prepend=0)))
        yield {
            "level": level.name,
            "evaluations": float(np.diff(ends, axis=1, prepend=0)[:, number].mean()),
            "best": {name: float(value) for name, value in vars(reached).items()},
            "gain": {name: float(value) for name, value in vars(gained).items()} if number else None,
        }


def _show_levels(levels: Sequence[dict[str, Any]], seeds: int) -> None:
    table = Table("level", "evaluations", "best at its end", "90 % interval", "gain", "90 % interval", box=None)
    for row in levels:
        gain = (f"{row['gain']['mean']:+.2f}", _interval(row["gain"], seeds)) if row["gain"] else ("", "")
        best = (f"{row['best']['mean']:.2f}", _interval(row["best"], seeds))
        table.add_row(row["level"], f"{row['evaluations']:g}", *best, *gain)
    say(table)


def _interval(row: dict[str, float], seeds: int) -> str:
    return f"{row['low']:.2f} to {row['high']:.2f}" if seeds > 1 else "one seed"


def _notes(search: Search, initial: int, shown: int, folder: Path) -> Iterator[str]:
    """What somebody may not have meant."""
    size = search.levels[-1].size
    if search.settings.kind == "surrogate":
        yield "all scores are predicted, by a model of the scores of trained cards; no card of this search was trained"
    if math.inf > search.budget.evaluations > size:
        yield f"space {search.settings.space} has {size:,} cards, where a search ends"
    if search.budget.evaluations < initial:
        yield f"the budget ends within the {initial} cards that all begin with, before the optimizer proposes any"
    there = sum(map(count_records, journals(folder).values()))
    if there > shown:
        yield f"the folder has {there:,} evaluations, {shown:,} of them are shown here"
