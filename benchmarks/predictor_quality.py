"""How well the models inside search methods rank trained cards that they were not told of.

    python benchmarks/predictor_quality.py

Kendall's tau of what is predicted for the rest of the pool (task glue8, published scores) after 20, 40 and 100 random
cards were told, mean of 15 draws: over all of them, and over the strongest (four layers, 256 wide), where a search ends
up. The models are those that the methods fit: BOSHNAS's natural-parameter network, its teacher, and a plain network in
place of the former; the ensemble of BANANAS; the Gaussian process of GP-BO.
"""

import numpy as np
import torch
from flexnas_baselines.bananas import Bananas
from flexnas_baselines.gp_bo import GPBO, exact, inputs
from numpy.typing import NDArray
from scipy.stats import kendalltau

from flexnas_bench import load_benchmark, load_space, reproducible
from flexnas_bench.optimizers.boshnas import Boshnas

DRAWS, TOLD = 15, (20, 40, 100)
bench, pool = load_benchmark(), load_space("pool")
cards = list(pool)
scores = np.array([bench.query(card).value for card in cards])
strong = np.array([card.num_layers == 4 and all(layer.hidden == 256 for layer in card.layers) for card in cards])
Predictions = dict[str, NDArray[np.floating]]


def predictions(embedding: str, told: NDArray[np.intp], seed: int) -> Predictions:
    """What each model, told of some cards, predicts for all of the pool."""
    known, values = [cards[i] for i in told], scores[told].tolist()
    networks, plain, bananas, process = (
        Boshnas(pool, seed=seed, embedding=embedding, initial=0),
        Boshnas(pool, seed=seed, embedding=embedding, initial=0, heteroscedastic=False),
        Bananas(pool, seed=seed, embedding=embedding, initial=0),
        GPBO(pool, seed=seed, embedding=embedding, initial=0),
    )
    for optimizer in (networks, plain, bananas, process):
        optimizer.tell(known, values)
    x = networks.candidates
    with reproducible(seed):
        boshnas, unspread, ensemble = networks.fit(), plain.fit(), bananas.fit()
        found = {
            "boshnas: NPN": boshnas.mean(x).numpy(),
            "boshnas: teacher": boshnas.teacher.eval()(x).numpy(),
            "boshnas without heteroscedasticity": unspread.mean(x).numpy(),
            "bananas: ensemble": ensemble.predict(x).mean(axis=0),
        }
    with exact(seed):
        found["gp-bo: process"] = process.process().mean_and_variance(inputs(x.numpy()))[0].numpy()
    return found


def taus(embedding: str, n: int) -> dict[str, NDArray[np.float64]]:
    """Tau over all the rest, and over the strongest of it, of every model: the mean of all draws, `(2,)`."""
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(cards))
        told, rest = order[:n], order[n:]
        best = rest[strong[rest]]
        for name, predicted in predictions(embedding, told, seed).items():
            overall, strongest = (float(kendalltau(predicted[some], scores[some]).statistic) for some in (rest, best))
            found.setdefault(name, []).append((overall, strongest))
    return {name: np.mean(pairs, axis=0) for name, pairs in found.items()}


def main() -> None:
    """Prints the table: all of the rest, and in brackets the strongest of it."""
    torch.set_num_threads(1)
    print("| model | embedding | " + " | ".join(f"{n} told" for n in TOLD) + " |\n|---|---|" + "---:|" * len(TOLD))
    for embedding in ("one-hot", "best"):
        found = [taus(embedding, n) for n in TOLD]
        for name in found[0]:
            cells = [f"{overall:.3f} ({strongest:.2f})" for overall, strongest in (each[name] for each in found)]
            print(f"| {name} | {embedding} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
