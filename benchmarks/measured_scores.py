"""What the scores say that the project's own backend has measured: order, noise, seconds, what transfers save.

Every training is one from scratch unless its line says otherwise. Scores beside them are published (the paper's
Table 3) or predicted (of the surrogate, under the protocol of the published 500), and are marked so.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from flexnas_bench import Benchmark, ModelCard, Store, Training, load_benchmark, load_published
from flexnas_bench.card import names_by_hash
from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.figures.paper.tables import CARDS, task_of
from flexnas_bench.records import training_of
from flexnas_bench.results import GLUE8, SCRATCH
from flexnas_bench.shipped import read_trainings
from flexnas_bench.storage import data_folder


def main() -> None:
    """Prints the tables of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", default="cpu-lite")
    parser.add_argument("--store", type=Path, help="scores of your own over the shipped ones")
    options = parser.parse_args()
    bench = load_benchmark(store=options.store)
    own = [training_of(row) for row in Store(options.store).rows()] if options.store else []
    frame = _frame([*read_trainings(data_folder()), *own], options.protocol)
    names = names_by_hash()
    tasks = sorted(frame["task"].unique())
    _scores(bench, frame, names, tasks)
    _order(bench, frame, names, tasks)
    _noise(frame, names, tasks)
    _savings(bench, frame, names)


def _frame(trainings: Sequence[Training], protocol: str) -> pd.DataFrame:
    """A row a score that was measured."""
    facts = ("init", "replicate", "pretrain_seconds", "finetune_seconds")
    rows = [
        {"card_hash": one.card.hash, "task": task, "value": value} | {name: getattr(one, name) for name in facts}
        for one in trainings
        if (one.protocol, one.origin) == (protocol, "measured")
        for task, value in one.scores.items()
    ]
    if not rows:
        raise SystemExit(f"nothing was measured under protocol {protocol}")
    return pd.DataFrame(rows).drop_duplicates(["card_hash", "task", "init", "replicate"])


def _scores(bench: Benchmark, frame: pd.DataFrame, names: Mapping[str, str], tasks: Sequence[str]) -> None:
    """A line a training: scores, seconds."""
    print(f"| card | parameters | seed | init | {' | '.join(tasks)} | pre-training, s | fine-tuning, s |")
    print("|---|---:|---:|---|" + "---:|" * (len(tasks) + 2))
    for (digest, init, replicate), rows in _trainings(bench, frame):
        scores = rows.set_index("task")["value"]
        cells = [f"{scores[task]:.2f}" if task in scores else "" for task in tasks]
        spent = "saved" if init != SCRATCH else f"{rows['pretrain_seconds'].iloc[0]:,.0f}"
        card = bench.card(digest)
        origin = SCRATCH if init == SCRATCH else names.get(init, init[:12])
        print(
            f"| {names.get(digest, digest[:12])} | {card.parameters / 1e6:.2f}M | {replicate} | {origin} | "
            f"{' | '.join(cells)} | {spent} | {rows['finetune_seconds'].sum():,.0f} |"
        )


def _trainings(bench: Benchmark, frame: pd.DataFrame) -> list[tuple[tuple[str, str, int], pd.DataFrame]]:
    """Trainings and their rows, small cards first."""
    groups = list(frame.groupby(["card_hash", "init", "replicate"]))
    return sorted(groups, key=lambda one: (one[0][1] != SCRATCH, one[0][2], bench.card(one[0][0]).parameters, one[0]))


def _first(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of the first training from scratch, a row a card and a column a task, of cards that have all tasks."""
    rows = frame[(frame["init"] == SCRATCH) & (frame["replicate"] == frame["replicate"].min())]
    return rows.pivot(index="card_hash", columns="task", values="value").dropna()


def _order(bench: Benchmark, frame: pd.DataFrame, names: Mapping[str, str], tasks: Sequence[str]) -> None:
    """Whether cards come in the order of other scores."""
    ours = _first(frame).mean(axis="columns")
    table = load_published("table3").set_index("model")
    columns = {column: task_of(column) for column in table.columns}
    shared = [column for column, task in columns.items() if task in tasks]
    theirs = {
        ModelCard.named(card).hash: float(table.loc[row, shared].mean())
        for row, card in CARDS.items()
        if row in table.index
    }
    predicted = {}
    for digest in ours.index:
        try:
            predicted[digest] = bench.query(digest, GLUE8, kind="surrogate").value
        except NotMeasuredError:
            continue
    parameters = {digest: float(bench.card(digest).parameters) for digest in ours.index}
    print(f"\nMean over {', '.join(tasks)} (measured, first training from scratch), Spearman's correlation with")
    for what, other in (
        ("the same mean of Table 3 (published)", theirs),
        (f"{GLUE8} under electra-owt-100k (predicted)", predicted),
        ("the number of parameters", parameters),
    ):
        both = [digest for digest in ours.index if digest in other]
        if len(both) > 2:
            rho, p = spearmanr([ours[one] for one in both], [other[one] for one in both])
            print(f"- {what}: {rho:.2f} (p = {p:.2f}), {len(both)} cards")
    for digest in ours.index:
        if digest in theirs:
            print(f"  {names[digest]}: measured {ours[digest]:.1f}, published {theirs[digest]:.1f}")


def _noise(frame: pd.DataFrame, names: Mapping[str, str], tasks: Sequence[str]) -> None:
    """Deviations of repeats; of two values, their difference over the root of two."""
    rows = frame[frame["init"] == SCRATCH]
    repeats = rows.groupby(["card_hash", "task"])["value"].agg(["std", "count"])
    repeats = repeats[repeats["count"] > 1].reset_index()
    if repeats.empty:
        return
    cards = sorted(names.get(digest, digest[:12]) for digest in repeats["card_hash"].unique())
    print(f"\nStandard deviation of a repeat, of {len(cards)} cards trained more than once ({', '.join(cards)}),")
    print("and of the first trainings of all cards that have all tasks:\n\n| task | repeat | cards |\n|---|---:|---:|")
    for task in tasks:
        own = repeats[repeats["task"] == task]["std"]
        if len(own) and task in _first(frame):
            print(f"| {task} | {np.sqrt(fmean(own**2)):.2f} | {_first(frame)[task].std():.2f} |")


def _savings(bench: Benchmark, frame: pd.DataFrame, names: Mapping[str, str]) -> None:
    """What trainings from a donor's weights took beside the same card's from scratch."""
    lines, scratch = [], frame[frame["init"] == SCRATCH]
    for (digest, init, replicate), rows in _trainings(bench, frame[frame["init"] != SCRATCH]):
        own = scratch[(scratch["card_hash"] == digest) & (scratch["replicate"] == replicate)]
        both = rows.merge(own, on="task", suffixes=("", "_scratch"))
        if both.empty:
            continue
        spent = both["finetune_seconds"].sum()
        full = both["pretrain_seconds_scratch"].iloc[0] + both["finetune_seconds_scratch"].sum()
        gained = (both["value"] - both["value_scratch"]).mean()
        lines.append((1 - spent / full, gained))
        print(
            f"{'' if len(lines) > 1 else chr(10)}{names.get(digest, digest[:12])} from {names.get(init, init[:12])}: "
            f"{spent:,.0f} s in place of {full:,.0f} s, {100 - 100 * spent / full:.0f} % less; "
            f"mean score {gained:+.2f} ({len(both)} tasks)"
        )
    if lines:
        saved, gained = np.mean(lines, axis=0)
        hours = load_published("fig7").set_index("panel")["gpu_hours"]
        theirs = 1 - hours["Knowledge Transfer"] / hours["Pre-train + Fine-tune"]
        print(f"Mean of {len(lines)}: {100 * saved:.0f} % less time, score {gained:+.2f} (measured)")
        print(f"The paper's Figure 7: {100 * theirs:.0f} % less, which it calls a speedup of 38 % (published)")


if __name__ == "__main__":
    main()
