"""All methods on all problems: how good the best card is after 20, 40 and 100 evaluations, and ablations of BOSHNAS.

    python benchmarks/search_quality.py --jobs 2                       # everything: hours on two cores
    python benchmarks/search_quality.py --problems pool --methods random evolution

Problems are the 491 trained encoders (pool, published scores), and all of G1 and G2 by predicted scores, without noise
and with the noise of a training. For one seed all methods begin with the same ten cards. What is finished is kept in
runs/quality/; the same command goes on from there. Runs and their cards go to data/runs/, the pictures to docs/, and
the tables of RESULTS.md are printed.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from flexnas_bench import ModelCard, load_benchmark, load_space
from flexnas_bench.distance.overlap import Donors
from flexnas_bench.figures.trajectory import draw_trajectories
from flexnas_bench.searching.analysis import estimate, ranks
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.searching.objective import choose_objective
from flexnas_bench.searching.runs import CARDS, RUNS
from flexnas_bench.searching.seeds import search_seeds
from flexnas_bench.searching.settings import SETTINGS_FILE
from flexnas_bench.storage import write_bytes, write_checksums, write_parquet

ROOT = Path(__file__).parents[1]
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
    "with t2v-g1-d16": {"embedding": "t2v-g1-d16"},
}


def run(problem: str, name: str, arguments: Mapping[str, Any], budget: int, jobs: int) -> Path:
    """Runs a method, as far as it has not been, and returns its folder."""
    out = ROOT / "runs" / "quality" / problem / name.replace(", ", "+").replace(" ", "-")
    search_seeds({"budget": budget, **PROBLEMS[problem], **arguments}, range(SEEDS), out, jobs=jobs)
    print(f"{problem}: {name} is done", flush=True)
    return out


def read(folders: Mapping[str, Path]) -> Comparison:
    """The runs of folders, by the names of methods."""
    found = [Comparison.read([folder]) for folder in folders.values()]
    frames = {name: next(iter(one.frames.values())) for name, one in zip(folders, found, strict=True)}
    cards = pd.concat([one.cards for one in found if one.cards is not None]).drop_duplicates("card_hash")
    return Comparison(frames, cards, found[0].problem)


def ship(name: str, comparison: Comparison) -> None:
    """Writes runs and cards where they are shipped."""
    frame = pd.concat([frame.assign(optimizer=method) for method, frame in comparison.frames.items()])
    frame["ask_seconds"] = frame["ask_seconds"].round(3)  # more digits of a measured time would be most of the file
    tables = {f"runs/{name}.parquet": (frame, RUNS), f"runs/{name}_cards.parquet": (comparison.cards, CARDS)}
    for file, (table, schema) in tables.items():
        write_parquet(ROOT / "data" / file, pa.Table.from_pandas(table, schema, preserve_index=False))
    settings = f"runs/{name}_{SETTINGS_FILE}"
    write_bytes(ROOT / "data" / settings, (json.dumps(dict(comparison.problem), indent=2) + "\n").encode())
    write_checksums(ROOT / "data", [*tables, settings])


def show(comparison: Comparison, steps: tuple[int, ...], what: str) -> None:
    """Prints a table: a row a method, a column a step."""
    tables: Mapping[str, pd.DataFrame] = getattr(comparison, what)
    print("\n| method | " + " | ".join(f"at {step}" for step in steps) + " |")
    print("|---|" + "---|" * len(steps))
    for name, table in tables.items():
        print(f"| {name} | " + " | ".join(cell(table[step]) for step in steps) + " |")


def show_ranks(compared: Mapping[str, Comparison]) -> None:
    """Prints the mean rank of the methods that all problems have at every step, over problems and seeds, best first."""
    steps = list(STEPS)
    common = [name for name in METHODS if all(name in one.frames for one in compared.values())]
    found = [ranks({name: one.judged[name] for name in common}) for one in compared.values()]
    means = {name: pd.concat([each[name][steps] for each in found]).mean() for name in found[0]}
    print(
        "\n| method | " + " | ".join(f"at {step}" for step in steps) + " | mean |\n|---|" + "---:|" * (len(steps) + 1)
    )
    for name, row in sorted(means.items(), key=lambda one: one[1].mean()):
        print(f"| {name} | " + " | ".join(f"{row[step]:.1f}" for step in steps) + f" | {row.mean():.1f} |")


def show_transfers(compared: Mapping[str, Comparison]) -> None:
    """Prints how often a card overlaps an earlier one enough for a transfer of weights (section 3.3.3)."""
    print("\n| method | " + " | ".join(f"{problem}, {t}" for problem in compared for t in THRESHOLDS) + " |")
    print("|---|" + "---:|" * (len(compared) * len(THRESHOLDS)))
    cards = {
        row.card_hash: ModelCard.from_json(row.card)
        for one in compared.values()
        if one.cards is not None
        for row in one.cards.itertuples()
    }
    for name in dict.fromkeys(name for one in compared.values() for name in one.frames):
        runs = [one.frames.get(name) for one in compared.values()]
        shares = [
            "" if frame is None else f"{transfer_share(frame, cards, threshold):.1%}"
            for frame in runs
            for threshold in THRESHOLDS
        ]
        print(f"| {name} | " + " | ".join(shares) + " |")


def transfer_share(frame: pd.DataFrame, cards: Mapping[str, ModelCard], threshold: float) -> float:
    """The share of a method's evaluations that a transfer would serve, one worker, all seeds."""
    served = []
    for _, run in frame.groupby("seed"):
        donors = Donors(threshold)
        for digest in run["card_hash"]:
            served.append(donors.serve(cards[digest]))
            donors.add(cards[digest])
    return float(np.mean(served))


def cell(samples: pd.Series) -> str:
    """A mean with its 90 % interval."""
    found = estimate(samples.to_numpy())
    return f"{found.mean:.2f} ({found.low:.2f} to {found.high:.2f})"


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
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, *WITH_BEST], default=[*METHODS, *WITH_BEST])
    parser.add_argument("--ablations", nargs="*", choices=PROBLEMS, default=["pool", "g1"], help="problems of these")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    compared = {}
    for problem in arguments.problems:
        methods = {**METHODS, **WITH_BEST} if problem == "pool" else METHODS
        chosen = [name for name in methods if name in arguments.methods]
        folders = {name: run(problem, name, methods[name], BUDGET, arguments.jobs) for name in chosen}
        compared[problem] = read(folders)
        if len(folders) == len(methods):
            ship(problem, compared[problem])
            draw(problem, compared[problem])
    for problem, comparison in compared.items():
        for what in ("best", "expected", "recommended"):
            if what == "best" or (what == "expected" and problem == "pool") or comparison.problem["noisy"]:
                print(f"\n{problem}, {what}")
                show(comparison, STEPS, what)
    for some in [*({problem: one} for problem, one in compared.items()), compared]:
        print(f"\nranks on {', '.join(some)}: mean over seeds, by the cards recommended where scores are noisy")
        show_ranks(some)
    print("\nshare of evaluations that weights could be transferred for, by threshold")
    show_transfers(compared)
    for problem in arguments.ablations:
        folders = {
            name: run(problem, name, {"optimizer": "boshnas", **options}, ABLATION_STEPS[-1], arguments.jobs)
            for name, options in ABLATIONS.items()
        }
        print(f"\nablations on {problem}")
        show(read(folders), ABLATION_STEPS, "best")


if __name__ == "__main__":  # processes of search_seeds import this file again
    main()
