"""What `flexnas-bench run` has to say at its end: a picture, a summary for programs, a table for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from flexnas_bench.answers import Result
from flexnas_bench.card import ModelCard
from flexnas_bench.cli.output import describe, say
from flexnas_bench.results import PREDICTED
from flexnas_bench.searching.journal import count_records, journals
from flexnas_bench.searching.runner import Search
from flexnas_bench.searching.runs import CARDS_FILE, RUNS_FILE, Run, read_cards

if TYPE_CHECKING:
    import pandas as pd

PICTURE = "best_so_far.png"
_NOISY = "expected value of the card recommended"


def draw(search: Search, runs: Sequence[Run], folder: Path) -> None:
    """Draws what every seed is judged by (see `_judge`) into the folder."""
    import pandas as pd

    from flexnas_bench.figures.trajectory import draw_trajectories

    frame = pd.concat([run.frame for run in runs], ignore_index=True)
    settings = search.settings
    cards, noisy = read_cards(folder / CARDS_FILE), settings.noisy
    found = search.objective.query(ModelCard.from_json(cards["card"].iloc[0]), 0)
    optimum = search.objective.optimum(search.levels[-1])
    what = " and ".join(sorted(frame["origin"].unique())) + " scores" + (" with noise" if noisy else "")
    label = f"expected {settings.task} of the card recommended" if noisy else f"best {settings.task} so far"
    draw_trajectories(
        {settings.optimizer: _judge(frame, cards, noisy)[0]},
        folder / PICTURE,
        title=f"{settings.optimizer} on space {settings.space}",
        ylabel=f"{label} (points)",
        note=f"{what}, protocol {settings.protocol}: {search.objective.cite(found)}",
        optimum=None if math.isnan(optimum) else optimum,
    )


def summarise(search: Search, runs: Sequence[Run], folder: Path) -> dict[str, Any]:
    """All that is worth knowing of the runs of a folder, for `summary.json`."""
    import pandas as pd

    from flexnas_bench.searching.analysis import best_so_far

    settings, initial = search.settings, search.make(search.levels[0], 0).initial_size
    frame, cards = pd.concat([run.frame for run in runs], ignore_index=True), read_cards(folder / CARDS_FILE)
    table, seed, digest, finders = _judge(frame, cards, settings.noisy)
    judge = replace(search.objective, noisy=False)  # a card recommended is worth its mean, not one reading
    card = ModelCard.from_json(cards.set_index("card_hash")["card"][digest])
    asked = frame[frame["step"] > initial]["ask_seconds"]
    converged = {run.rows[0]["seed"]: run.converged_at for run in runs}
    when = [step for step in converged.values() if step is not None]
    return {
        "settings": asdict(settings),
        "seeds": len(runs),
        "best_so_far": _rows(best_so_far(frame)),
        "recommended": _rows(table) if settings.noisy else [],
        "levels": list(_levels(search, runs, table)) if len(search.levels) > 1 else [],
        "best_card": card.to_dict(),
        "best_result": asdict(judge.query(card, seed)),
        "best_expected": search.objective.expected([card])[0],
        "seeds_that_found_it": finders,
        "converged_at": converged,
        "seeds_converged": len(when),
        "converged_at_median": median(when) if when else None,
        "ask_seconds_mean": float(asked.mean()) if len(asked) else 0.0,
        "simulated_hours_mean": fmean(run.rows[-1]["finished_at"] for run in runs) / 3600,
        "transfers_mean": fmean(run.transfers for run in runs),
        "evaluations": len(frame),
        "notes": list(_notes(search, initial, len(frame), folder)),
        "runs": str(folder / RUNS_FILE),
        "picture": str(folder / PICTURE),
    }


def _judge(frame: pd.DataFrame, cards: pd.DataFrame, noisy: bool) -> tuple[pd.DataFrame, int, str, int]:
    """What runs are judged by, seeds by steps: best values, or with noise what the card recommended scores on average.

    Also the seed that ended with the best card, or the one of the highest posterior mean, its hash, and how many seeds
    found, or recommend, that card.
    """
    from flexnas_bench.searching.analysis import best_so_far
    from flexnas_bench.searching.recommendation import recommendations

    if noisy:
        found = recommendations(frame, cards)
        table = found.pivot(index="seed", columns="step", values="expected").ffill(axis=1)
        ends = found.groupby("seed", as_index=False).last()
        winner = ends.loc[ends["posterior"].idxmax()]
    else:
        table, ends = best_so_far(frame), frame
        winner = frame.loc[frame["value"].fillna(-math.inf).idxmax()]
    finders = ends[ends["card_hash"] == winner["card_hash"]]["seed"].nunique()
    return table, int(winner["seed"]), winner["card_hash"], finders


def show(summary: dict[str, Any]) -> None:
    """Prints what a person wants to see of a summary."""
    settings, result = summary["settings"], Result(**summary["best_result"])
    noisy = settings["noisy"]
    table = Table("evaluations", f"mean {_NOISY if noisy else 'best so far'}", "90 % interval", box=None)
    for row in summary["recommended"] or summary["best_so_far"]:
        table.add_row(str(row["step"]), f"{row['mean']:.2f}", _interval(row, summary["seeds"]))
    say(f"{settings['optimizer']} on {settings['space']}, {settings['task']}, seeds: {summary['seeds']}")
    say(table)
    if summary["levels"]:
        _show_levels(summary["levels"], summary["seeds"], _NOISY if noisy else "best")
    finders = f"{summary['seeds_that_found_it']} of {summary['seeds']} seeds"
    say(f"{'card recommended' if noisy else 'best card, found'} by {finders}: {describe(result)}")
    if not math.isnan(summary["best_expected"]) and result.origin != PREDICTED:
        say(f"its expected value, as one reading is partly luck: {summary['best_expected']:.2f}")
    say(json.dumps(summary["best_card"]))
    if summary["seeds_converged"]:
        say(
            "criterion of section 4.1 (five evaluations without a better score) met by "
            f"{summary['seeds_converged']} of {summary['seeds']} seeds, "
            f"at {summary['converged_at_median']:g} evaluations in the median"
        )
    if not math.isnan(summary["simulated_hours_mean"]):
        transfers = f", {summary['transfers_mean']:.1f} transfers of weights a seed" if settings["overlap"] else ""
        workers = "worker" if settings["workers"] == 1 else "workers"
        where = "of training" if settings["kind"] == "live" else f"on {settings['workers']} simulated {workers}"
        say(f"{summary['simulated_hours_mean']:.1f} hours {where}{transfers}")
    for note in summary["notes"]:
        say(f"note: {note}")
    say(f"runs in {summary['runs']}, picture {summary['picture']}; {summary['ask_seconds_mean']:.2f} s a proposal")


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Means and intervals at the steps worth a row: 10, 20, 40, and the last."""
    from flexnas_bench.searching.analysis import estimates

    last = int(table.columns[-1])
    return estimates(table, [*(step for step in (10, 20, 40) if step < last), last])


def _levels(search: Search, runs: Sequence[Run], table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What each level gained: values of the table (see `_judge`) at its end, and over the end of the level before."""
    from flexnas_bench.searching.analysis import estimate

    ends = np.array([run.level_ends for run in runs])
    seeds = [run.rows[0]["seed"] for run in runs]
    values = table.reindex(columns=[0, *table.columns]).loc[seeds].to_numpy()  # NaN where a level has none yet
    best = np.take_along_axis(values, ends, axis=1)
    for number, level in enumerate(search.levels):
        reached, gained = (estimate(x[:, number]) for x in (best, np.diff(best, axis=1, prepend=0)))
        yield {
            "level": level.name,
            "evaluations": float(np.diff(ends, axis=1, prepend=0)[:, number].mean()),
            "best": {name: float(value) for name, value in vars(reached).items()},
            "gain": {name: float(value) for name, value in vars(gained).items()} if number else None,
        }


def _show_levels(levels: Sequence[dict[str, Any]], seeds: int, what: str) -> None:
    table = Table("level", "evaluations", f"{what} at its end", "90 % interval", "gain", "90 % interval", box=None)
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
