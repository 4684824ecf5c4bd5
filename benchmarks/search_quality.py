"""All methods on all problems: how good the best card is after 20, 40 and 100 evaluations, and ablations of BOSHNAS.

    python benchmarks/search_quality.py --jobs 2                       # everything: hours on two cores
    python benchmarks/search_quality.py --problems pool --methods random evolution --ablations
    python benchmarks/search_quality.py --problems --ablations pool    # ablations alone

Problems are the 491 trained encoders (pool, published scores), and all of G1 and G2 by predicted scores, without noise
and with the noise of a training. For one seed all methods begin with the same ten cards. What is finished is kept in
runs/quality/; the same command goes on from there. Runs and their cards go to data/runs/, the pictures to docs/, and
the tables of RESULTS.md are printed.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from shipping import ROOT, read, run, ship
from wording import likely

from flexnas_bench import ModelCard, load_benchmark, load_space
from flexnas_bench.distance.overlap import Donors
from flexnas_bench.figures.trajectory import draw_trajectories
from flexnas_bench.searching.analysis import estimate, paired_difference, paired_test, ranks
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.objective import choose_objective

SEEDS, BUDGET, STEPS = 20, 100, (20, 40, 100)
ABLATION_STEPS = (20, 40)
THRESHOLDS = (0.8, 0.75, 0.5)
PROBLEMS: Mapping[str, dict[str, Any]] = {
    "pool": {"space": "pool"},
    "g1": {"space": "g1"},
    "g1-noisy": {"space": "g1", "noisy": True},
    "g2": {"space": "g2"},
    "g2-noisy": {"space": "g2", "noisy": True},
}
METHODS: Mapping[str, dict[str, Any]] = {
    name: {"optimizer": name}
    for name in (
        "random",
        "deep-wide",
        "local-search",
        "evolution",
        "reinforce",
        "tpe",
        "gp-bo",
        "bananas",
        "boshnas",
    )
}
#: Predicted scores follow from this embedding, so with it a method would be told how they were made.
WITH_BEST: Mapping[str, dict[str, Any]] = {
    f"{name}, best": {"optimizer": name, "embedding": "best"} for name in ("gp-bo", "bananas", "boshnas")
}
ABLATIONS: Mapping[str, dict[str, Any]] = {
    "boshnas": {},
    "without second order": {"second_order": False},
    "without heteroscedasticity": {"heteroscedastic": False},
    "sigma from the start": {"aleatoric_after": 0},
    "without uncertainty sampling": {"alpha": 0.0},
    "without diversity sampling": {"beta": 0.0},
    "without GOBI": {"restarts": 0},
    "without sigma": {"k1": 0.0},
    "with t2v-g1-d16": {"embedding": "t2v-g1-d16"},
}


def show(comparison: Comparison, steps: tuple[int, ...], what: str) -> None:
    """Prints a table: a row a method, a column a step."""
    tables: Mapping[str, pd.DataFrame] = getattr(comparison, what)
    print("\n| method | " + " | ".join(f"at {step}" for step in steps) + " |")
    print("|---|" + "---|" * len(steps))
    for name, table in tables.items():
        print(f"| {name} | " + " | ".join(cell(table[step].to_numpy()) for step in steps) + " |")


def show_ranks(compared: Mapping[str, Comparison]) -> None:
    """Prints the mean rank of the methods that all problems have, by problem, by step and in all, best first."""
    steps = list(STEPS)
    common = [name for name in METHODS if all(name in one.frames for one in compared.values())]
    found = {problem: ranks({name: one.judged[name] for name in common}) for problem, one in compared.items()}
    print("\n| method | " + " | ".join([*found, *(f"all, at {step}" for step in steps)]) + " | mean |")
    print("|---|" + "---:|" * (len(found) + len(steps) + 1))
    lines = []
    for name in common:
        table = np.stack([each[name][steps].to_numpy() for each in found.values()])  # problems, seeds, steps
        cells = [f"{mean:.1f}" for mean in (*table.mean(axis=(1, 2)), *table.mean(axis=(0, 1)))]
        lines.append((table.mean(), [name, *cells, cell(table.mean(axis=(0, 2)))]))
    print("\n".join(f"| {' | '.join(line)} |" for _, line in sorted(lines)))


def show_transfers(compared: Mapping[str, Comparison]) -> None:
    """Prints in percent how often a card overlaps an earlier one enough for a transfer of weights (section 3.3.3)."""
    print("\n| method | " + " | ".join(compared) + " |\n|---|" + "---|" * len(compared))
    cards = {
        row.card_hash: ModelCard.from_json(row.card)
        for one in compared.values()
        if one.cards is not None
        for row in one.cards.itertuples()
    }
    for name in dict.fromkeys(name for one in compared.values() for name in one.frames):
        frames = [one.frames.get(name) for one in compared.values()]
        cells = [
            "" if frame is None else " / ".join(f"{transfer_share(frame, cards, t):.1f}" for t in THRESHOLDS)
            for frame in frames
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def transfer_share(frame: pd.DataFrame, cards: Mapping[str, ModelCard], threshold: float) -> float:
    """The percentage of a method's evaluations that a transfer would serve, one worker, all seeds."""
    served = []
    for _, rows in frame.groupby("seed"):
        donors = Donors(threshold)
        for digest in rows["card_hash"]:
            served.append(donors.serve(cards[digest]))
            donors.add(cards[digest])
    return 100 * float(np.mean(served))


def cell(samples: NDArray[np.float64], sign: str = "") -> str:
    """A mean over seeds with its 90 % interval."""
    found = estimate(samples)
    return f"{found.mean:{sign}.2f} ({found.low:{sign}.2f} to {found.high:{sign}.2f})"


def show_pairs(comparison: Comparison, name: str, steps: tuple[int, ...]) -> None:
    """Prints what each method has more than one of them by paired seeds, with Wilcoxon's signed-rank test."""
    print(f"\n| less {name} | " + " | ".join(f"at {step} | p" for step in steps) + " |")
    print("|---|" + "---|---:|" * len(steps))
    for other, table in comparison.judged.items():
        if other != name:
            pairs = [paired_difference(table, comparison.judged[name])[step].to_numpy() for step in steps]
            print(
                f"| {other} | "
                + " | ".join(f"{cell(pair, '+')} | {likely(paired_test(pair))}" for pair in pairs)
                + " |"
            )


def draw(problem: str, comparison: Comparison) -> None:
    """The picture of a problem."""
    bench, settings = load_benchmark(), comparison.problem
    noise = " with the noise of a training" if settings["noisy"] else ""
    space = load_space(settings["space"])
    objective = choose_objective(bench, space, settings["task"], settings["protocol"], settings["kind"])
    result = objective.query(space[0], 0)
    draw_trajectories(
        {name: table for name, table in comparison.judged.items() if "," not in name},  # twelve are too many to see
        ROOT / "docs" / f"quality-{problem}.png",
        title=f"{'Trained' if settings['kind'] == 'table' else 'Predicted'} encoders of {space.name}{noise}",
        ylabel=f"{'expected' if settings['noisy'] else 'best'} {settings['task']} (points)",
        note=f"{result.origin} scores, protocol {result.protocol}: {bench.cite(result)}",
        optimum=None if np.isnan(best := objective.optimum(space)) else best,
    )


def main() -> None:
    """Runs, ships, draws and prints."""
    parser = argparse.ArgumentParser(description="Search quality of all methods")
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, *WITH_BEST], default=[*METHODS, *WITH_BEST])
    parser.add_argument("--ablations", nargs="*", choices=PROBLEMS, default=["pool", "g1"], help="problems of these")
    parser.add_argument("--seeds", type=int, help=f"in place of {SEEDS}; nothing is shipped or drawn then")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quality", help="for what is finished")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    compared = {}
    for problem in arguments.problems:
        methods = {**METHODS, **WITH_BEST} if problem == "pool" else METHODS
        chosen = [name for name in methods if name in arguments.methods]
        folders = {
            name: run(
                arguments.out / problem,
                name,
                {"budget": BUDGET, **PROBLEMS[problem], **methods[name]},
                arguments.seeds or SEEDS,
                arguments.jobs,
            )
            for name in chosen
        }
        compared[problem] = read(folders)
        if len(folders) == len(methods) and not arguments.seeds:
            ship(problem, compared[problem], folders)
            draw(problem, compared[problem])
    for problem, comparison in compared.items():
        for what in ("best", "expected", "recommended"):
            if what == "best" or (what == "expected" and problem == "pool") or comparison.problem["noisy"]:
                print(f"\n{problem}, {what}")
                show(comparison, STEPS, what)
        if "boshnas" in comparison.frames:
            show_pairs(comparison, "boshnas", STEPS)
    if compared:
        print("\nmean ranks, by the cards recommended where scores are noisy")
        show_ranks(compared)
        print(f"\nshare of evaluations that weights could be transferred for, by threshold {THRESHOLDS}")
        show_transfers(compared)
    for problem in arguments.ablations:
        common = {"budget": ABLATION_STEPS[-1], **PROBLEMS[problem], "optimizer": "boshnas"}
        folders = {
            name: run(arguments.out / problem, name, {**common, **options}, arguments.seeds or SEEDS, arguments.jobs)
            for name, options in ABLATIONS.items()
        }
        comparison = read(folders)
        if not arguments.seeds:
            ship(f"{problem}-ablations", comparison, folders)
        print(f"\nablations on {problem}")
        show(comparison, ABLATION_STEPS, "best")
        show_pairs(comparison, "boshnas", ABLATION_STEPS)


if __name__ == "__main__":  # processes of search_seeds import this file again
    main()
