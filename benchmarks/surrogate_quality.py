"""How well the provisional surrogate predicts trained cards that it was not fitted to.

    python benchmarks/surrogate_quality.py

Three times ten folds of the 491 cards of the pool (task glue8, published scores): Kendall's tau, R2, the share of
scores inside the predicted 90 % interval, overall and among the strongest cards (four layers, 256 wide), and the error
of predicted costs. The peer is scikit-learn's random forest of 200 trees on the same vectors and folds.
"""

import numpy as np
from scipy.stats import kendalltau
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score

from flexnas_bench import load_benchmark, load_embedding, load_space
from flexnas_bench.surrogate import Surrogate

REPEATS, FOLDS = 3, 10


def main() -> None:
    """Prints the table."""
    bench, pool = load_benchmark(), list(load_space("pool"))
    scores = bench.query_many(pool)
    costs = np.array([bench.query(card).cost_seconds for card in pool])
    vectors = load_embedding("stretched", "pool").matrix
    strongest = np.array([card.num_layers == 4 and card.layers[0].hidden == 256 for card in pool])
    rows = []
    for seed in range(REPEATS):
        order = np.random.default_rng(seed).permutation(len(pool))
        mean, std, forest, seconds = np.empty((4, len(pool)))
        for fold in range(FOLDS):
            new, known = order[fold::FOLDS], np.delete(order, np.s_[fold::FOLDS])
            surrogate = Surrogate(
                [pool[i] for i in known], scores[known].tolist(), costs[known].tolist(), noise_std=0.6
            )
            mean[new], std[new] = surrogate.predict([pool[i] for i in new])
            seconds[new] = [surrogate.cost_seconds(pool[i]) for i in new]
            forest[new] = (
                RandomForestRegressor(200, random_state=0).fit(vectors[known], scores[known]).predict(vectors[new])
            )
        covered = np.abs(scores - mean) < 1.645 * std
        for where in (slice(None), strongest):
            found = (kendalltau(mean[where], scores[where]).statistic, r2_score(scores[where], mean[where]))
            peer = (kendalltau(forest[where], scores[where]).statistic, r2_score(scores[where], forest[where]))
            rows.append((*found, *peer, covered[where].mean(), np.median(np.abs(seconds / costs - 1)[where])))
    print("| cards | tau | R2 | forest: tau | R2 | in the 90 % interval | median error of costs |")
    print("|---|" + "---:|" * 6)
    for i, name in enumerate(("all 491", f"the {strongest.sum()} strongest")):
        tau, r2, other_tau, other_r2, inside, error = np.mean(rows[i::2], axis=0)
        print(f"| {name} | {tau:.3f} | {r2:.3f} | {other_tau:.3f} | {other_r2:.3f} | {inside:.1%} | {error:.1%} |")


if __name__ == "__main__":
    main()
