"""How good the best card is after 10, 20, 40 and 60 evaluations: BOSHNAS beside random search.

    python benchmarks/search_quality.py --jobs 2

Searches the 491 trained encoders (space pool, task glue8, published scores) with 30 paired seeds: for one seed both
begin with the same ten cards. Writes the runs to data/runs/, the picture of the README to docs/, and prints the table
of RESULTS.md. Begins afresh unless told to --resume what an interrupted call left in runs/.
"""

import argparse
import shutil
from pathlib import Path

import pandas as pd

from flexnas_bench import load_benchmark
from flexnas_bench.figures.trajectory import draw_trajectories
from flexnas_bench.searching.analysis import best_so_far, estimate, paired_difference
from flexnas_bench.searching.runs import write_runs
from flexnas_bench.searching.seeds import search_seeds
from flexnas_bench.storage import write_checksums

ROOT = Path(__file__).parents[1]
OPTIMIZERS = ("random", "boshnas")
SHIPPED = "runs/pool_glue8.parquet"
SEEDS, BUDGET, STEPS = 30, 60, (10, 20, 40, 60)


def interval(samples: pd.DataFrame, sign: str = "") -> list[str]:
    """Means and 90 % intervals over seeds at the steps of the table."""
    found = estimate(samples[list(STEPS)].to_numpy())
    numbers = zip(found.mean, found.low, found.high, strict=True)
    return [f"{mean:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})" for mean, low, high in numbers]


def main() -> None:
    """Runs both optimizers, ships the runs, draws and prints."""
    parser = argparse.ArgumentParser(description="Search quality on the 491 trained encoders")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    runs = []
    for name in OPTIMIZERS:
        out = ROOT / "runs" / f"quality-{name}"
        if not arguments.resume:
            shutil.rmtree(out, ignore_errors=True)
        runs += search_seeds({"optimizer": name, "budget": BUDGET}, range(SEEDS), out, jobs=arguments.jobs)
    rows = [row for run in runs for row in run.rows]
    write_runs(ROOT / "data" / SHIPPED, rows)
    write_checksums(ROOT / "data", [SHIPPED])
    frame = pd.DataFrame(rows)

    bench = load_benchmark()
    best = bench.best()
    draw_trajectories(
        {name: best_so_far(frame, name) for name in OPTIMIZERS},
        ROOT / "docs" / "pool_glue8.png",
        title="Searching 491 really trained encoders",
        ylabel="best glue8 so far (points)",
        note=f"{best.origin} scores, protocol {best.protocol}: {bench.sources[best.source]['citation']}",
        optimum=best.value,
    )
    columns = [interval(best_so_far(frame, name)) for name in OPTIMIZERS]
    difference = interval(paired_difference(*(best_so_far(frame, name) for name in ("boshnas", "random"))), sign="+")
    print("| evaluations | " + " | ".join(OPTIMIZERS) + " | boshnas less random, paired |")
    print("|---:|" + "---|" * (len(OPTIMIZERS) + 1))
    for row in zip(STEPS, *columns, difference, strict=True):
        print("| " + " | ".join(map(str, row)) + " |")
    found = {name: sum(best_so_far(frame, name)[BUDGET] == best.value) for name in OPTIMIZERS}
    print(f"\nSeeds of {SEEDS} that found the best card ({best.value:.2f}) within {BUDGET} evaluations: {found}")
    asks = frame[frame["step"] > 10].groupby("optimizer")["ask_seconds"].median()
    print(f"Seconds an ask after the initial cards, median: {asks.round(3).to_dict()}")


if __name__ == "__main__":  # processes of search_seeds import this file again
    main()
