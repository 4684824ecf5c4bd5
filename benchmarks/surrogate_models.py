"""Which model predicts scores of trained cards best: the choice behind `flexnas_bench.surrogate`.

    python benchmarks/surrogate_models.py --jobs 2     # ten minutes on two cores

Candidates, simplest first, all on the vectors `stretched` of the pool's cards (task glue8, published scores), with the
same treatment of failed trainings (they are left out, and what they cost on average is taken off by depth): the process
that is shipped; a random forest of 200 trees; the mean of both; five natural-parameter networks. Printed is ten-fold
cross-validation, and then the choice by nested cross-validation: in each of ten outer folds the simplest candidate
whose Kendall tau in five inner folds lacks no more than one standard error of the difference to the best, judged on the
outer fold. Last, a row a task: the process in ten folds, once.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from flexnas_bench import DesignSpace, ModelCard, Surrogate, load_benchmark, load_space, reproducible
from flexnas_bench.predictors.npn import NPN, npn_loss
from flexnas_bench.processes import finished_tasks
from flexnas_bench.results import GLUE8, GLUE_METRICS
from flexnas_bench.surrogate import Trained
from flexnas_bench.surrogate.judging import Interval, judge, kendall
from flexnas_bench.surrogate.model import vectors
from flexnas_bench.surrogate.validation import Guess, HeldOut, Model, cross_validate, forest, surrogate

OUTER, INNER, REPEATS = 10, 5, 1
NETWORKS, STEPS, RATE, DECAY = 5, 400, 0.01, 1e-3
SHOWN = ("Kendall tau", "sparse Kendall tau", "R2", "mean absolute error", "top 10 % overlap")
Array = NDArray[np.float64]
SPACE = load_space("g3")


def both(known: Sequence[Trained], new: Sequence[ModelCard], space: DesignSpace) -> Guess:
    """The mean of process and forest."""
    return Guess((surrogate(known, new, space).mean + forest(known, new, space).mean) / 2)


def networks(known: Sequence[Trained], new: Sequence[ModelCard], space: DesignSpace) -> Guess:
    """The mean of natural-parameter networks, each fitted to cards drawn with replacement, less failures."""
    fine = [t for t in known if t.scores]
    x, y = vectors([t.card for t in fine], space), np.array([t.fine for t in fine])
    centre, scale, unit = x.mean(axis=0), np.sqrt(x.var(axis=0).mean()), y.std()
    inputs, asked = (torch.from_numpy((some - centre) / scale).float() for some in (x, vectors(new, space)))
    target = torch.from_numpy((y - y.mean()) / unit).float()
    found = []
    for seed in range(NETWORKS):
        with reproducible(seed):
            drawn = torch.randint(len(y), (len(y),))
            network = NPN(x.shape[1])
            steps = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
            for _ in range(STEPS):
                steps.zero_grad()
                npn_loss(network(inputs[drawn]), target[drawn]).backward()  # type: ignore[no-untyped-call]  # torch's
                steps.step()
            with torch.no_grad():
                found.append(network(asked)[0].double().numpy())
    model = Surrogate(known, space=space)
    lacking = model.predict(new).failure_probability * model.failures.shortfall
    return Guess(y.mean() + unit * np.mean(found, axis=0) - lacking)


CANDIDATES: Mapping[str, Model] = {"process": surrogate, "forest": forest, "mean of both": both, "NPN": networks}


def inner_taus(name: str, known: Sequence[Trained]) -> list[float]:
    """Kendall's tau of a candidate in each of five folds."""
    order = np.random.default_rng(0).permutation(len(known))
    found = []
    for fold in range(INNER):
        new = order[fold::INNER]
        rest = np.setdiff1d(order, new)
        guess = CANDIDATES[name]([known[i] for i in rest], [known[i].card for i in new], SPACE)
        readings = np.array([np.mean([*known[i].scores, *known[i].failed_scores]) for i in new])
        found.append(kendall(guess.mean, readings))
    return found


def choose(known: Sequence[Trained]) -> tuple[str, dict[str, float]]:
    """The simplest candidate that lacks no more than one standard error of the best, fold by fold; and means of all."""
    taus = {name: np.array(inner_taus(name, known)) for name in CANDIDATES}
    best = max(taus, key=lambda name: float(taus[name].mean()))
    for name in CANDIDATES:
        lacking = taus[best] - taus[name]
        if lacking.mean() <= lacking.std(ddof=1) / np.sqrt(INNER):
            return name, {each: float(several.mean()) for each, several in taus.items()}
    raise AssertionError  # the best lacks nothing


def nested(trained: Sequence[Trained], part: NDArray[np.int64]) -> tuple[str, dict[str, float], Array, Array]:
    """What is chosen without an outer fold; and readings of it, and what the chosen one predicts of them."""
    known = [trained[i] for i in np.setdiff1d(np.arange(len(trained)), part)]
    chosen, means = choose(known)
    mean = CANDIDATES[chosen](known, [trained[i].card for i in part], SPACE).mean
    readings = [(*trained[i].scores, *trained[i].failed_scores) for i in part]
    return chosen, means, np.repeat(mean, [len(several) for several in readings]), np.concatenate(readings)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description="Candidates for the surrogate")
    parser.add_argument("--jobs", type=int, default=2)
    jobs, bench = parser.parse_args().jobs, load_benchmark()
    trained = bench.trained()
    print("| model | " + " | ".join(SHOWN) + " | strongest: Kendall tau |\n|---|" + "---|" * (len(SHOWN) + 1))
    for name, model in CANDIDATES.items():
        rows = cross_validate(trained, model, folds=OUTER, repeats=REPEATS, jobs=jobs)
        found, top = judge(rows), judge(strongest(trained, rows))["Kendall tau"]
        cells = [cell(f) for f in (*(found[shown] for shown in SHOWN), top)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    order = np.random.default_rng(0).permutation(len(trained))
    tasks = [(trained, order[fold::OUTER]) for fold in range(OUTER)]
    done: dict[int, tuple[str, dict[str, float], Array, Array]] = {}
    with finished_tasks(nested, tasks, jobs) as finished:
        for some in finished:
            done |= dict(some)
    print(f"\nchosen in {OUTER} outer folds: {dict(Counter(done[i][0] for i in range(OUTER)))}")
    for name in CANDIDATES:
        print(f"mean tau of {name} in inner folds: {np.mean([one[1][name] for one in done.values()]):.3f}")
    mean, readings = (np.concatenate([done[i][part] for i in range(OUTER)]) for part in (2, 3))
    print(f"the chosen ones on outer folds: Kendall tau {kendall(mean, readings):.3f}")
    print("\n| task | Kendall tau | R2 | inside 80 % | strongest: Kendall tau |\n|---|---|---|---|---|")
    for task in (*GLUE_METRICS, GLUE8):
        each = bench.trained(task)
        rows = cross_validate(each, folds=OUTER, repeats=1, jobs=jobs)
        found, top = judge(rows), judge(strongest(each, rows))["Kendall tau"]
        cells = [cell(f) for f in (found["Kendall tau"], found["R2"], found["inside 80 %"], top)]
        print(f"| {task} | " + " | ".join(cells) + " |", flush=True)


def strongest(trained: Sequence[Trained], rows: Sequence[HeldOut]) -> list[HeldOut]:
    """Rows of cards of four layers, 256 wide."""
    top = np.array([t.card.num_layers == 4 and t.card.layers[0].hidden == 256 for t in trained])
    return [some.where(top[some.cards]) for some in rows]


def cell(figure: Interval) -> str:
    """A figure with its interval."""
    return f"{figure.value:.3f} ({figure.low:.2f} to {figure.high:.2f})"


if __name__ == "__main__":  # processes import this file again
    main()
