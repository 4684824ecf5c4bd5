"""What an embedding is worth: how well scores of the 491 trained encoders are predicted from it.

    python benchmarks/embedding_worth.py --jobs 2

Thirty random splits of the pool (task glue8, published scores): a Gaussian process (Matern 5/2, one length scale,
noise) and a random forest (200 trees), both of scikit-learn, learn from 20, 30, 50, 100 or 400 cards and predict all
others; or from nine tenths, three times over. Every embedding meets the same splits. Prints the tables of RESULTS.md:
Kendall's tau and R2 with 90 % bootstrap intervals over splits.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.metrics import r2_score
from threadpoolctl import threadpool_limits

from flexnas_bench import load_benchmark, load_embedding, load_space
from flexnas_bench.processes import finished_tasks
from flexnas_bench.searching.analysis import estimate

SIZES, SPLITS, FOLDS, FIRST_SEED = (20, 30, 50, 100, 400), 30, 10, 1_000
EMBEDDINGS = {
    "one-hot": ("one-hot",),
    "t2v-g1-d16": ("t2v-g1-d16",),
    "t2v-ordered-g1-d16": ("t2v-ordered-g1-d16",),
    "both t2v": ("t2v-g1-d16", "t2v-ordered-g1-d16"),
    "stretched": ("stretched",),
}
Array = NDArray[np.float64]


def gaussian_process(x: Array, y: Array, new: Array) -> Array:
    """Predictions of a process whose length scale, scale and noise are fitted, from one start."""
    kernel = ConstantKernel() * Matern(1.0, (1e-2, 1e2), nu=2.5) + WhiteKernel(0.1)
    unit = np.sqrt(x.var(axis=0).sum())
    found: Array = GaussianProcessRegressor(kernel, normalize_y=True).fit(x / unit, y).predict(new / unit)
    return found


def random_forest(x: Array, y: Array, new: Array) -> Array:
    """Predictions of 200 trees."""
    found: Array = RandomForestRegressor(200, random_state=0).fit(x, y).predict(new)
    return found


MODELS: dict[str, Callable[[Array, Array, Array], Array]] = {"GP": gaussian_process, "forest": random_forest}


def splits(cards: int) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.intp]]]:
    """Names of columns, rows to learn from and rows to predict."""
    for seed in range(SPLITS):
        order = np.random.default_rng(FIRST_SEED + seed).permutation(cards)
        yield from ((str(size), order[:size], order[size:]) for size in SIZES)
        if seed < SPLITS // FOLDS:
            for fold in range(FOLDS):
                yield "ten-fold", np.delete(order, np.s_[fold::FOLDS]), order[fold::FOLDS]


def measure(embedding: str, model: str) -> dict[str, list[tuple[float, float]]]:
    """Tau and R2 of every split, by column."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale may run to its bound
    pool = load_space("pool")
    scores = load_benchmark().query_many(pool)
    x = np.hstack([load_embedding(name, pool).features for name in EMBEDDINGS[embedding]]).astype(np.float64)
    found: dict[str, list[tuple[float, float]]] = {}
    with threadpool_limits(1):
        for column, known, new in splits(len(scores)):
            predicted = MODELS[model](x[known], scores[known], x[new])
            tau = kendalltau(predicted, scores[new]).statistic
            found.setdefault(column, []).append((0.0 if np.isnan(tau) else tau, r2_score(scores[new], predicted)))
    return found


def main() -> None:
    """Prints a table for tau and one for R2."""
    parser = argparse.ArgumentParser(description="What embeddings are worth for predicting scores")
    parser.add_argument("--jobs", type=int, default=2)
    tasks = [(embedding, model) for embedding in EMBEDDINGS for model in MODELS]
    with finished_tasks(measure, tasks, parser.parse_args().jobs) as batches:
        results = dict(chain.from_iterable(batches))
    columns = [*map(str, SIZES), "ten-fold"]
    for i, measured in enumerate(("Kendall's tau", "R2")):
        print(f"\n{measured}\n\n| embedding | model | {' | '.join(columns)} |\n|---|---|{'---|' * len(columns)}")
        for number, (embedding, model) in enumerate(tasks):
            found = [estimate(np.array(results[number][column])[:, i]) for column in columns]
            cells = [f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})" for one in found]
            print(f"| {embedding} | {model} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
