"""How long imports, queries and spaces take, each beside a peer in the same run.

    python benchmarks/query_time.py

Medians of seven runs on one core. The peer for queries is NATS-Bench 1.8 in its fast mode, asked for 12 epochs. Its
package brings no data, so it reads files written here in its own format, with made-up values: 15,625 architectures by
name, and one of them with results on four datasets after 12 and 200 epochs, as the real ones have.
"""

import math
import random
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
from nats_bench import ArchResults, ResultsCount, create, pickle_save
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.model_selection import ParameterGrid
from timing import REPEATS, median_seconds

from flexnas_bench import Benchmark, DesignSpace, ModelCard, Surrogate, load_benchmark, load_embedding, load_space

MILLION = 1_000_000
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
DATASETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
OURS_FRESH = """
import time
started = time.perf_counter()
import flexnas_bench
imported = time.perf_counter()
flexnas_bench.load_benchmark().query({digest!r})
print(imported - started, time.perf_counter() - imported)
"""
PEER_FRESH = """
import time
started = time.perf_counter()
from nats_bench import create
imported = time.perf_counter()
create({folder!r}, "tss", fast_mode=True, verbose=False).get_more_info(0, "cifar10", hp="12", is_random=False)
print(imported - started, time.perf_counter() - imported)
"""


def fresh(program: str) -> tuple[float, float]:
    """Median seconds of import and first answer, each run in a process of its own."""
    runs = []
    for _ in range(REPEATS):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
        runs.append([float(number) for number in done.stdout.split()])
    first, second = (statistics.median(column) for column in zip(*runs, strict=True))
    return first, second


def write_nats_sample(folder: Path) -> str:
    """Files that NATS-Bench reads in its fast mode, with made-up values."""
    rng = random.Random(0)  # noqa: S311 - made-up values
    names = [f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|" for a, b, c, d, e, f in product(OPERATIONS, repeat=6)]
    pickle_save({"meta_archs": names, "total_archs": len(names)}, str(folder / "meta.pickle"))
    results = {}
    for hp, epochs, seeds in (("12", 12, (111, 777)), ("200", 200, (777, 888, 999))):
        results[hp] = ArchResults(0, names[0])
        for dataset, seed in product(DATASETS, seeds):
            results[hp].update(dataset, seed, _nats_trial(dataset, names[0], seed, epochs, rng))
    pickle_save({hp: result.state_dict() for hp, result in results.items()}, str(folder / "000000.pickle"))
    return str(folder)


def _nats_trial(dataset: str, name: str, seed: int, epochs: int, rng: random.Random) -> ResultsCount:
    by_epoch = [{epoch: rng.random() for epoch in range(epochs)} for _ in range(4)]
    trial = ResultsCount(dataset, None, by_epoch[0], by_epoch[1], 1.0, 2.0, {"arch_str": name}, seed, epochs, [0.1])
    trial.update_train_info(by_epoch[0], by_epoch[2], by_epoch[1], by_epoch[3])
    for evaluated in DATASETS[dataset]:
        keys = [f"{evaluated}@{epoch}" for epoch in range(epochs)]
        trial.update_eval(*({key: rng.random() for key in keys} for _ in range(3)))
    return trial


def ask_all(bench: Benchmark, questions: Sequence[ModelCard | str]) -> None:
    """One question after the other."""
    for question in questions:
        bench.query(question)


def queries(folder: str) -> list[tuple[str, float, str, float]]:
    """Rows of the table about single questions."""
    bench, space = load_benchmark(), load_space("pool")
    digest = bench.best().card_hash
    ours, peer = fresh(OURS_FRESH.format(digest=digest)), fresh(PEER_FRESH.format(folder=folder))
    rows = [
        ("import, fresh process", ours[0], "import nats_bench", peer[0]),
        ("first answer of a fresh process, import not counted", ours[1], "create and get_more_info", peer[1]),
    ]
    cards = [space[i % space.size] for i in range(20_000)]
    hashes = [card.hash for card in cards]
    api = create(folder, "tss", fast_mode=True, verbose=False)

    def ask_peer() -> None:
        for _ in hashes:
            api.get_more_info(0, "cifar10", hp="12", is_random=False)

    answer = median_seconds(ask_peer, len(hashes))
    for what, questions in (("card", cards), ("hash", hashes)):
        each = median_seconds(partial(ask_all, bench, questions), len(questions))
        rows.append((f"query of a {what}, warm", each, "get_more_info, warm", answer))
    million = (hashes * (MILLION // len(hashes) + 1))[:MILLION]
    series = pd.Series({card.hash: bench.query(card).value for card in space})
    many = median_seconds(lambda: bench.query_many(million))
    reindexed = median_seconds(lambda: series.reindex(million).to_numpy())
    np.testing.assert_array_equal(bench.query_many(million), series.reindex(million).to_numpy())
    rows.append(("query_many of 1,000,000 hashes, all known", many, "pandas Series.reindex", reindexed))
    unknown = [f"{i:064x}" for i in range(MILLION)]
    many = median_seconds(lambda: bench.query_many(unknown))
    reindexed = median_seconds(lambda: series.reindex(unknown).to_numpy())
    rows.append(("query_many of 1,000,000 hashes, none known", many, "pandas Series.reindex", reindexed))
    return rows


def spaces() -> list[tuple[str, float, str, float]]:
    """Rows of the table about cards and their indices."""
    g1, g3 = load_space("g1"), load_space("g3")
    drawn = [ModelCard(g1[i].layers) for i in range(0, g1.size, 50)]

    def hash_with_networkx() -> None:
        for card in drawn:
            nx.weisfeiler_lehman_graph_hash(card.graph(), node_attr="label")

    rng = np.random.default_rng(0)
    indices = [g3.sample_index(rng) for _ in range(20_000)]
    cards = [g3[i] for i in indices]
    grid = parameter_grid(g3)
    inside = [i % len(grid) for i in indices]
    made = median_seconds(lambda: [card.hash for card in g1], g1.size)
    unrank = median_seconds(lambda: [g3[i] for i in indices], len(indices))
    rank = median_seconds(lambda: [g3.index(card) for card in cards], len(cards))
    from_grid = median_seconds(lambda: [grid[i] for i in inside], len(inside))
    return [
        ("a card of G1 made and hashed", made, "networkx WL hash", median_seconds(hash_with_networkx, len(drawn))),
        ("all 9,312 of them", made * g1.size, "", math.nan),
        ("card of an index of G3", unrank, "scikit-learn ParameterGrid", from_grid),
        ("index of a card of G3", rank, "", math.nan),
    ]


def predictions() -> list[tuple[str, float, str, float]]:
    """A row of the table about predictions, beside scikit-learn's process of the same kernel, noise and points."""
    trained = load_benchmark().trained()
    model, known = Surrogate(trained), [t for t in trained if t.scores]
    settings = model.fitted.scores
    assert settings is not None  # noqa: S101 - a fitted surrogate has them
    cards = load_space("g3").sample(20_000, seed=1)
    embedding = load_embedding("stretched", "g3")
    x, new = (embedding.vectors([*some]).astype(float) for some in ([t.card for t in known], cards))
    noise = np.array([settings.noises[t.card.num_layers] for t in known])
    kernel = ConstantKernel(settings.variance) * Matern(settings.length * np.sqrt(x.var(axis=0).sum()), nu=1.5)
    peer = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None, normalize_y=True)
    peer.fit(x, [t.fine for t in known])
    np.testing.assert_allclose(model.distribution(cards[:50]).mean, peer.predict(new[:50]), atol=1e-4)
    ours = median_seconds(lambda: model.predict(cards), len(cards))
    theirs = median_seconds(lambda: peer.predict(new, return_std=True), len(cards))
    return [("a prediction, of 20,000 cards of G3", ours, "scikit-learn's process, vectors given", theirs)]


def parameter_grid(space: DesignSpace) -> ParameterGrid:
    """The deepest cards of a space as a grid of named choices a layer: what one would reach for otherwise."""
    choices, depth = space.choices, max(space.choices.layers)
    stacks = sorted({layer.feed_forward for layer in choices.layer_choices})
    layer = {"operation": choices.operations, "hidden": choices.hidden, "heads": choices.heads, "stack": stacks}
    return ParameterGrid({f"{name}_{j}": list(values) for j in range(depth) for name, values in layer.items()})


def readable(duration: float) -> str:
    """A duration with its unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if duration * factor >= 1:
            return f"{duration * factor:.2f} {unit}"
    return f"{duration * 1e6:.1f} us"


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore", UserWarning)  # networkx tells of other hashes in older releases
    with tempfile.TemporaryDirectory() as folder:
        rows = queries(write_nats_sample(Path(folder))) + spaces() + predictions()
    print("| what | flexnas-bench | peer | peer takes | peer / flexnas-bench |")
    print("|---|---:|---|---:|---:|")
    for what, ours, name, theirs in rows:
        peer = f"{name} | {readable(theirs)} | {theirs / ours:.2g}" if name else "| |"
        print(f"| {what} | {readable(ours)} | {peer} |")


if __name__ == "__main__":
    main()
