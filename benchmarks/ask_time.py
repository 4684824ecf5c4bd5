"""How long every method takes to propose a card, by the number of cards told, beside fitting a Gaussian process.

    python benchmarks/ask_time.py

Sequential asks on one core, in G1 (9,312 cards, one-hot) after 20 to 1,000 random cards with predicted scores, and in
G3 (3.3 billion cards) after 40: the mean of nine asks, as some methods fit afresh only now and then, and the slowest of
them. The peer is one fit of scikit-learn's GaussianProcessRegressor (Matern 5/2, a length scale a feature, noise, one
start) on the same points, and its upper confidence bound for all candidates. Ends with what the experiment of the
paper's Figure 4(a) would take, and the memory that searches of G3 took.
"""

import resource
import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from flexnas_bench import Optimizer, load_benchmark, load_embedding, load_space, make_optimizer, optimizer_names

TOLD, ASKS, MOST_FOR_PEER = (20, 40, 100, 300, 1_000), 9, 300
EMBEDDINGS = ("one-hot", "best", "t2v-g1-d16")
PAPERS = ("random", "evolution", "reinforce", "gp-bo", "bananas", "boshnas")
surrogate = load_benchmark().surrogate()


def ask_seconds(name: str, space: str, told: int, embedding: str = "one-hot") -> tuple[float, float]:
    """Mean and most seconds of an ask, each followed by a tell."""
    optimizer = make_optimizer(name, space, initial=told, embedding=embedding)
    tell(optimizer, told)
    tell(optimizer, 1)  # a first proposal loads what it needs
    times = []
    for _ in range(ASKS):
        started = time.perf_counter()
        tell(optimizer, 1)
        times.append(time.perf_counter() - started)
    return float(np.mean(times)), max(times)


def tell(optimizer: Optimizer, n: int) -> None:
    """Asks for cards and tells their predicted scores, which takes about a millisecond each."""
    cards = optimizer.ask(n)
    optimizer.tell(cards, surrogate.predict(cards).mean.tolist())


def peer_seconds(told: int) -> float:
    """Seconds of a fit of scikit-learn's process, and of its bound for all of G1."""
    space = load_space("g1")
    cards = space.sample(told, seed=0)
    x = load_embedding("one-hot", space).features.astype(np.float64)
    kernel = ConstantKernel() * Matern(np.full(x.shape[1], 10.0), nu=2.5) + WhiteKernel(0.1)
    started = time.perf_counter()
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    process.fit(x[[space.index(card) for card in cards]], surrogate.predict(cards).mean)
    mean, deviation = process.predict(x, return_std=True)
    (mean + 0.5 * deviation).argmax()
    return time.perf_counter() - started


def main() -> None:
    """Prints the tables."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # length scales of idle features run to their bounds
    torch.set_num_threads(1)
    means = {}
    print("| method, on G1 | " + " | ".join(f"{told:,} told" for told in TOLD) + " |\n|---|" + "---:|" * len(TOLD))
    for name in optimizer_names():
        found = [ask_seconds(name, "g1", told) for told in TOLD]
        means[name] = float(np.mean([mean for mean, _ in found[:2]]))
        print(f"| {name} | " + " | ".join(f"{mean:.3f} ({most:.2f})" for mean, most in found) + " |", flush=True)
    peer = [f"{peer_seconds(told):.3f}" if told <= MOST_FOR_PEER else "" for told in TOLD]
    print("| scikit-learn's process | " + " | ".join(peer) + " |")
    minutes = sum(means[name] for name in PAPERS) * 30 * 50 / 2 / 60
    print(f"\nSix methods, 50 seeds, 40 evaluations each of G1, on two cores: {minutes:.0f} minutes")
    print("\n| method, on G3 | " + " | ".join(EMBEDDINGS) + " |\n|---|" + "---:|" * len(EMBEDDINGS))
    for name in optimizer_names():
        found = [ask_seconds(name, "g3", 40, embedding) for embedding in EMBEDDINGS]
        print(f"| {name} | " + " | ".join(f"{mean:.3f} ({most:.2f})" for mean, most in found) + " |", flush=True)
    print(f"\nMost memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
