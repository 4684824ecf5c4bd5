"""Whether a search on predicted scores ranks the methods as a search on trained encoders does.

    python benchmarks/held_out_search.py --jobs 2     # half an hour on two cores, resumable

Nine methods search the 491 cards of the pool, 20 seeds and 100 evaluations each, where every score is predicted by a
surrogate that does not know the card: that of the other nine of ten folds. "noisy": a training is drawn, as the
published scores are trainings. Printed are the mean ranks of the methods beside those on the trained encoders
(data/runs/pool.parquet) and on predicted G1 and G2 (data/runs/), and the rank correlations with the former. Finished
runs are kept in runs/held-out/.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from search_quality import METHODS, SEEDS, STEPS

from flexnas_bench import Benchmark, DesignSpace, ModelCard, load_benchmark, load_space, search
from flexnas_bench.processes import finished_tasks
from flexnas_bench.searching.analysis import best_so_far, ranks
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.surrogate import Prediction, Surrogate

ROOT = Path(__file__).parents[1]
FOLDS, BUDGET, RESAMPLES = 10, 100, 2_000
NOISY = {"held-out, noisy": True, "held-out": False}
OTHERS = ("g1", "g1-noisy", "g2", "g2-noisy")


class CrossFitted:
    """Predicts each card of a pool by a surrogate fitted to the other folds."""

    def __init__(self, bench: Benchmark, space: DesignSpace) -> None:
        trained = bench.trained()
        folds = np.random.default_rng(0).permutation(len(trained)) % FOLDS
        models = [
            Surrogate([t for t, fold in zip(trained, folds, strict=True) if fold != k], name="held out")
            for k in range(FOLDS)
        ]
        self._models = {t.card: models[fold] for t, fold in zip(trained, folds, strict=True)}
        self.space, self.source = space, bench.surrogate().source
        self.digest = sha256(repr([model.digest for model in models]).encode()).hexdigest()[:16]

    def predict(self, cards: Sequence[ModelCard]) -> Prediction:
        """What is predicted of each card of the pool."""
        found = [self._models[card].predict([card]) for card in cards]
        columns = ("mean", "epistemic_std", "aleatoric_std", "failure_probability", "in_support")
        return Prediction(*(np.concatenate([getattr(one, column) for one in found]) for column in columns))

    def draw(self, card: ModelCard, seed: int) -> float:
        """The score of one training."""
        score: float = self._models[card].draw(card, seed)
        return score

    def cost_seconds(self, cards: Sequence[ModelCard]) -> NDArray[np.float64]:
        """Seconds of a training of each card."""
        return np.concatenate([self._models[card].cost_seconds([card]) for card in cards])

    def lacking(self, card: ModelCard) -> list[str]:
        """As the model of the card says."""
        found: list[str] = self._models[card].lacking(card)
        return found

    def expected(self, card: ModelCard) -> float:
        """The prediction."""
        return float(self.predict([card]).mean[0])


@cache
def bench() -> Benchmark:
    """The benchmark with held-out predictions, once a process."""
    shipped = load_benchmark()
    return shipped.with_surrogate(CrossFitted(shipped, load_space("pool")))


def run(problem: str, method: str, seed: int) -> None:
    """One search, as far as it has not been done."""
    out = ROOT / "runs" / "held-out" / problem.replace(", ", "-") / f"{method}-{seed}"
    noisy = NOISY[problem]
    search(bench(), method, space="pool", kind="surrogate", noisy=noisy, budget=BUDGET, seed=seed, out=out)


def read(problem: str) -> dict[str, pd.DataFrame]:
    """Best value so far by method, a row a seed; of what a search is told, as on trained encoders."""
    folder = ROOT / "runs" / "held-out" / problem.replace(", ", "-")
    frames = {
        method: pd.concat([pd.read_parquet(folder / f"{method}-{seed}" / "runs.parquet") for seed in range(SEEDS)])
        for method in METHODS
    }
    return {method: best_so_far(frame) for method, frame in frames.items()}


def mean_ranks(tables: Mapping[str, pd.DataFrame]) -> NDArray[np.float64]:
    """Ranks among the nine methods, `(methods, seeds)`, mean over the evaluations 20, 40 and 100."""
    found = ranks({method: tables[method] for method in METHODS})
    return np.stack([found[method][list(STEPS)].mean(axis=1).to_numpy() for method in METHODS])


def agreement(first: NDArray[np.float64], second: NDArray[np.float64]) -> str:
    """Spearman's and Kendall's rank correlation of mean ranks, with 90 % intervals by drawing seeds of both again."""
    cells = []
    for measure in (spearmanr, kendalltau):
        rng, samples = np.random.default_rng(0), []
        for _ in range(RESAMPLES):
            seeds = [rng.integers(table.shape[1], size=table.shape[1]) for table in (first, second)]
            samples.append(measure(first[:, seeds[0]].mean(axis=1), second[:, seeds[1]].mean(axis=1)).statistic)
        value = measure(first.mean(axis=1), second.mean(axis=1)).statistic
        low, high = np.quantile(samples, [0.05, 0.95])
        cells.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
    return " | ".join(cells)


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description="Ranks of methods on held-out predictions")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--problems", nargs="+", choices=NOISY, default=list(NOISY))
    arguments = parser.parse_args()
    tasks = [(problem, method, seed) for problem in arguments.problems for method in METHODS for seed in range(SEEDS)]
    with finished_tasks(run, tasks, arguments.jobs) as finished:
        for _ in finished:
            pass
    shipped = {name: Comparison.read([ROOT / "data" / "runs" / f"{name}.parquet"]) for name in ("pool", *OTHERS)}
    found = {"pool": mean_ranks(shipped["pool"].judged)} | {name: mean_ranks(read(name)) for name in arguments.problems}
    found |= {name: mean_ranks(shipped[name].judged) for name in OTHERS}
    halves = found["pool"][:, ::2], found["pool"][:, 1::2]
    print("\n| method | " + " | ".join(found) + " |\n|---|" + "---:|" * len(found))
    for i, method in enumerate(METHODS):
        print(f"| {method} | " + " | ".join(f"{table[i].mean():.1f}" for table in found.values()) + " |")
    print("\n| ranks on the pool and on | Spearman | Kendall |\n|---|---|---|")
    print(f"| itself: even and odd seeds | {agreement(*halves)} |")
    for name, table in found.items():
        if name != "pool":
            print(f"| {name} | {agreement(found['pool'], table)} |")


if __name__ == "__main__":  # processes import this file again
    main()
