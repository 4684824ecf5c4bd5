"""How long distances and embeddings take, beside networkx and scikit-learn, and how near they come.

    python benchmarks/distance_time.py

The distances of all 43,352,016 pairs of G1 from the shipped table; single pairs of G1 (looked up) and of G3 (solved);
Transformer2vec of G1 beside scikit-learn's MDS on a part of it; vectors of new cards beside learned ones; the nearest
of all vectors beside scikit-learn's NearestNeighbors. Prints the tables of RESULTS.md (some minutes).
"""

import time

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import MDS
from sklearn.neighbors import NearestNeighbors
from timing import median_seconds

from flexnas_bench import ModelCard, ged, load_embedding, load_space
from flexnas_bench.distance.blocks import block_indices
from flexnas_bench.distance.outline import node_distances
from flexnas_bench.distance.pairs import Matrix, ged_bounds
from flexnas_bench.embedding.base import Vectors
from flexnas_bench.embedding.scaling import place, scale
from flexnas_bench.space import Choices

INDICES = block_indices(Choices())
G1 = load_space("g1")
LANDMARKS, PART = 1_000, 1_000


def first_guess(a: ModelCard, b: ModelCard) -> float:
    """The first distance that networkx finds, with the paper's costs."""

    def index(attributes: dict[str, str]) -> int:
        return INDICES[attributes["label"]]

    guesses = nx.optimize_graph_edit_distance(
        a.graph(),
        b.graph(),
        node_subst_cost=lambda x, y: abs(index(x) - index(y)),
        node_del_cost=index,
        node_ins_cost=index,
        edge_subst_cost=lambda *_: 0,
        edge_del_cost=lambda _: 0.1,
        edge_ins_cost=lambda _: 0.1,
    )
    return float(next(guesses))


def timed(work: object, *arguments: object) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work(*arguments)  # type: ignore[operator]  # any callable
    return time.perf_counter() - started


def mean_error(vectors: Vectors, others: Vectors, given: NDArray[np.float32]) -> float:
    """Mean squared difference between distances of vectors and given ones."""
    apart = np.linalg.norm(vectors[:, None] - others[None], axis=2)
    return float(np.square(apart - given).mean())


def distances(given: Matrix, all_pairs: float) -> None:
    """The table of distances."""
    pairs = G1.size * (G1.size - 1) // 2
    sample = G1.sample(60, seed=0)
    some = list(zip(sample[::2], sample[1::2], strict=True))
    guessing = median_seconds(lambda: [first_guess(a, b) for a, b in some], len(some))
    excess = np.mean([first_guess(a, b) / ged(a, b) - 1 for a, b in some])
    warm = median_seconds(lambda: [ged(a, b) for a, b in some], len(some))
    cards = load_space("g3").sample(200, seed=0)
    solved = [timed(ged, a, b) for a, b in zip(cards[::2], cards[1::2], strict=True)]
    print("| what | time | networkx, first guess | networkx / flexnas-bench |\n|---|---:|---:|---:|")
    each = all_pairs / pairs
    print(f"| all {pairs:,} pairs of G1 | {all_pairs:.1f} s | | |")
    print(f"| a pair, among all | {each * 1e6:.2f} us | {guessing * 1e3:.1f} ms | {guessing / each:,.0f} |")
    print(f"| a pair of G1, alone | {warm * 1e6:.1f} us | {guessing * 1e3:.1f} ms | {guessing / warm:,.0f} |")
    print(f"| a pair of G3, median of 100 | {np.median(solved) * 1e3:.0f} ms | | |")
    print(f"| a pair of G3, worst of 100 | {max(solved):.2f} s | | |")
    print(f"\nnetworkx's first guess exceeds the exact distance by {excess:.1%} on average ({len(some)} pairs).")
    mean, largest = edge_parts(given)
    print(f"Distances exceed their node parts by {mean:.2f} on average, {largest:.1f} at most.")


def edge_parts(given: Matrix) -> tuple[float, float]:
    """Mean and largest difference between a distance and its node part, over all pairs."""
    cards, total, largest = list(G1), 0.0, 0.0
    for first in range(0, len(cards), 500):
        edges = given[first : first + 500] - node_distances(cards[first : first + 500], cards)
        total += float(edges.sum(dtype=np.float64))
        largest = max(largest, float(edges.max()))
    return total / (len(cards) * (len(cards) - 1)), largest


def embedding(given: Matrix) -> None:
    """The table of embeddings: all of G1, and a part beside scikit-learn."""
    rows = np.random.default_rng(0).permutation(G1.size)[:PART]
    part = np.ascontiguousarray(given[np.ix_(rows, rows)])
    whole_seconds = timed(scale, given, 16)
    ours = median_seconds(lambda: scale(part, 16))
    peer = MDS(16, metric="precomputed", n_init=1, init="random", max_iter=300, random_state=0)
    theirs = timed(peer.fit_transform, part.astype(np.float64))
    error = peer.stress_ / (PART * (PART - 1) / 2)
    print("\n| what | time | mean squared error | scikit-learn MDS | its error | MDS / flexnas-bench |")
    print("|---|---:|---:|---:|---:|---:|")
    print(f"| G1, d = 16 | {whole_seconds:.1f} s | {scale(given, 16).error:.2f} | | | |")
    found = scale(part, 16).error
    print(
        f"| {PART:,} of its cards | {ours:.2f} s | {found:.2f} | {theirs:.1f} s | {error:.2f} | {theirs / ours:.1f} |"
    )


def new_cards(given: Matrix) -> None:
    """The table of vectors of new cards: what landmarks and node parts cost."""
    vectors, order = load_embedding("t2v-g1-d16").matrix, np.random.default_rng(1).permutation(G1.size)
    new, landmarks = order[:200], order[200 : 200 + LANDMARKS]
    nodes = node_distances([G1[int(i)] for i in new], [G1[int(i)] for i in landmarks])
    more = nodes + np.float32(edge_parts(given)[0])
    ways = {
        "learned with all others": vectors[new],
        "placed by exact distances to 1,000 landmarks": place(given[np.ix_(new, landmarks)], vectors[landmarks]),
        "placed by node parts to 1,000 landmarks": place(nodes, vectors[landmarks]),
        "placed by node parts and what they lack on average, as other cards are": place(more, vectors[landmarks]),
        "the same, to 200 landmarks": place(more[:, :200], vectors[landmarks[:200]]),
    }
    others = order[200 + LANDMARKS :]
    print("\n| vectors of 200 cards of G1 | mean squared error of distances to others |\n|---|---:|")
    for name, found in ways.items():
        print(f"| {name} | {mean_error(found, vectors[others], given[np.ix_(new, others)]):.2f} |")
    cards, some = load_space("g3").sample(10, seed=2), [G1[int(i)] for i in others[:40]]
    exact = np.array([[ged(a, b) for b in some] for a in cards], dtype=np.float32)
    placed = load_embedding("t2v-g1-d16", "g3").vectors(cards)
    error = mean_error(placed, vectors[others[:40]], exact)
    print(f"| 10 cards of G3, placed like that; distances to 40 cards of G1 | {error:.2f} |")
    each = median_seconds(lambda: load_embedding("t2v-g1-d16", "g3").vectors(cards * 50), 500)
    print(f"\nA vector of a new card takes {each * 1e3:.2f} ms, in batches of 500.")


def nearest() -> None:
    """The table of nearest vectors."""
    found = load_embedding("t2v-g1-d16")
    peer = NearestNeighbors(algorithm="brute").fit(found.matrix)
    points = found.matrix[::100] + np.float32(0.5)
    print("\n| what | time | scikit-learn NearestNeighbors | it / flexnas-bench |\n|---|---:|---:|---:|")
    for k, what in ((1, "nearest of 9,312 vectors"), (100, "100 nearest")):

        def ours(k: int = k) -> None:
            for x in points:
                found.nearest(x, k)

        def theirs(k: int = k) -> None:
            for x in points:
                peer.kneighbors(x[None], k)

        mine, other = (median_seconds(work, len(points)) for work in (ours, theirs))
        print(f"| {what} | {mine * 1e6:.0f} us | {other * 1e6:.0f} us | {other / mine:.1f} |")


def main() -> None:
    """Prints all tables."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        given, upper = ged_bounds(G1)
        times.append(time.perf_counter() - started)
    if given is not upper:
        raise SystemExit("not all pairs are exact")
    distances(given, sorted(times)[1])
    embedding(given)
    new_cards(given)
    nearest()


if __name__ == "__main__":
    main()
