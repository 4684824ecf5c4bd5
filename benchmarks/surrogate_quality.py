"""How well models of the scores predict trained cards that they were not fitted to.

    python benchmarks/surrogate_quality.py

Three times ten folds of the 491 cards of the pool (task glue8, published scores): Kendall's tau, R2 and the share of
scores inside the predicted 90 % interval, overall and among the strongest cards (four layers, 256 wide). Rows: the
provisional surrogate; a process with a noise for each depth, fitted without failed trainings, whose mean is less by
what they cost on average; scikit-learn's random forest of 200 trees, with failures and without; all on the same vectors
and folds. Then the error of predicted costs.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score

from flexnas_bench import load_benchmark, load_embedding, load_space
from flexnas_bench.predictors.process import RegionalProcess
from flexnas_bench.results import GLUE_METRICS
from flexnas_bench.surrogate import Surrogate
from flexnas_bench.surrogate.failures import Failures, failed

REPEATS, FOLDS = 3, 10
INSIDE = 1.645
Array = NDArray[np.float64]
Predictions = tuple[Array, Array]


class Pool:
    """The trained cards: vectors, mean scores, costs, and which of them had a training that failed."""

    def __init__(self) -> None:
        bench, self.cards = load_benchmark(), list(load_space("pool"))
        self.scores = bench.query_many(self.cards)
        self.costs = np.array([bench.query(card).cost_seconds for card in self.cards])
        self.vectors = load_embedding("stretched", "pool").matrix.astype(float)
        self.depths = np.array([card.num_layers for card in self.cards])
        widths = np.array([card.layers[0].hidden for card in self.cards])
        self.strongest = (self.depths == 4) & (widths == 256)
        like = list(zip(self.depths.tolist(), widths.tolist(), strict=True))
        self.failed = np.any([failed(bench.query_many(self.cards, task), like) for task in GLUE_METRICS], axis=0)

    def provisional(self, known: NDArray[np.int64], new: NDArray[np.int64]) -> Predictions:
        """Of the surrogate behind `kind="surrogate"`."""
        cards = [self.cards[i] for i in known]
        surrogate = Surrogate(cards, self.scores[known].tolist(), self.costs[known].tolist(), noise_std=0.6)
        self.predicted_costs = np.array([surrogate.cost_seconds(self.cards[i]) for i in new])
        return surrogate.predict([self.cards[i] for i in new])

    def regional(self, known: NDArray[np.int64], new: NDArray[np.int64]) -> Predictions:
        """Of a process with a noise for each depth, without failed trainings, less what these cost on average."""
        fine, bad = known[~self.failed[known]], known[self.failed[known]]
        process = RegionalProcess(self.vectors[fine], self.scores[fine], self.depths[fine])
        lacking = process.predict(self.vectors[bad], self.depths[bad]).mean - self.scores[bad]
        failures = Failures.count(self.failed[known], self.depths[known], lacking)
        found = process.predict(self.vectors[new], self.depths[new])
        mean = found.mean - failures.shortfall * failures.probability(self.depths[new])
        return mean, np.hypot(found.epistemic_std, found.aleatoric_std)

    def forest(self, known: NDArray[np.int64], new: NDArray[np.int64]) -> Predictions:
        """Of a random forest, which has no spread."""
        model = RandomForestRegressor(200, random_state=0).fit(self.vectors[known], self.scores[known])
        return model.predict(self.vectors[new]), np.full(len(new), np.nan)

    def cautious_forest(self, known: NDArray[np.int64], new: NDArray[np.int64]) -> Predictions:
        """Of a random forest which knows nothing of failed trainings."""
        return self.forest(known[~self.failed[known]], new)


def main() -> None:
    """Prints the table."""
    pool = Pool()
    models: dict[str, Callable[[NDArray[np.int64], NDArray[np.int64]], Predictions]] = {
        "provisional surrogate": pool.provisional,
        "process, noise by depth, failures apart": pool.regional,
        "forest": pool.forest,
        "forest, without failures": pool.cautious_forest,
    }
    print("| model | tau | R2 | in the 90 % interval | strongest: tau | in the 90 % interval |")
    print("|---|" + "---:|" * 5)
    errors = []
    for name, predict in models.items():
        rows = []
        for seed in range(REPEATS):
            order = np.random.default_rng(seed).permutation(len(pool.cards))
            mean, std = np.empty((2, len(order)))
            for fold in range(FOLDS):
                new, known = order[fold::FOLDS], np.delete(order, np.s_[fold::FOLDS])
                mean[new], std[new] = predict(known, new)
                if predict == pool.provisional:
                    errors.append(np.abs(pool.predicted_costs / pool.costs[new] - 1))
            inside, top = np.abs(pool.scores - mean) < INSIDE * std, pool.strongest
            tau, tau_top = (kendalltau(mean[where], pool.scores[where]).statistic for where in (slice(None), top))
            rows.append((tau, r2_score(pool.scores, mean), inside.mean(), tau_top, inside[top].mean()))
        tau, r2, covered, tau_top, covered_top = np.mean(rows, axis=0)
        shares = [f"{share:.1%}" if covered else "" for share in (covered, covered_top)]
        print(f"| {name} | {tau:.3f} | {r2:.3f} | {shares[0]} | {tau_top:.3f} | {shares[1]} |", flush=True)
    print(f"\n{pool.failed.sum()} of {len(pool.cards)} cards had a training that failed")
    print(f"{pool.strongest.sum()} strongest; median error of costs {np.median(np.concatenate(errors)):.1%}")


if __name__ == "__main__":
    main()
