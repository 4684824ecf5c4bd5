"""Predictions of trained cards by models that were not fitted to them: folds, whole strata, growing samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from flexnas_bench.card import ModelCard
from flexnas_bench.processes import Progress, finished_tasks
from flexnas_bench.space import DesignSpace
from flexnas_bench.surrogate.failures import Failures
from flexnas_bench.surrogate.model import FEWEST, Mixture, Surrogate, describing, vectors
from flexnas_bench.surrogate.trained import Trained

Array = NDArray[np.float64]
#: Trees of the peer; all else as scikit-learn has it.
TREES = 200


class Guess(NamedTuple):
    """What a model says of `n` cards.

    Attributes:
        mean: of the score of a training, `(n,)`.
        distribution: of that score, where the model knows one.
        cost_seconds: of a training, `(n,)`, where the model knows it.
    """

    mean: Array
    distribution: Mixture | None = None
    cost_seconds: Array | None = None


#: Fits itself to trained cards of a space, and guesses others.
Model = Callable[[Sequence[Trained], Sequence[ModelCard], DesignSpace], Guess]


def surrogate(known: Sequence[Trained], new: Sequence[ModelCard], space: DesignSpace) -> Guess:
    """The surrogate of this package, its hyperparameters found anew."""
    model = Surrogate(known, space=space)
    return Guess(model.predict(new).mean, model.distribution(new), model.cost_seconds(new))


def forest(known: Sequence[Trained], new: Sequence[ModelCard], space: DesignSpace) -> Guess:
    """The peer: scikit-learn's random forest on the same vectors, with the same treatment of failures.

    It is fitted to trainings that did not fail; what those that did lack on average is taken off by depth.
    """
    fine = [(t.card, score) for t in known for score in t.scores]
    failed = [(t.card, score) for t in known for score in t.failed_scores]
    cards, scores = zip(*fine, strict=True)
    model = RandomForestRegressor(TREES, random_state=0).fit(vectors(cards, space), scores)
    guesses, depths = {}, {}
    for name, some in (("fine", cards), ("failed", [card for card, _ in failed]), ("new", new)):
        guesses[name] = model.predict(vectors(some, space)) if some else np.empty(0)
        depths[name] = np.array([card.num_layers for card in some], dtype=np.int64)
    failures = Failures.count(
        np.repeat([False, True], [len(fine), len(failed)]),
        np.concatenate([depths["fine"], depths["failed"]]),
        guesses["failed"] - np.array([score for _, score in failed]),
    )
    return Guess(guesses["new"] - failures.probability(depths["new"]) * failures.shortfall)


MODELS: Mapping[str, Model] = {"surrogate": surrogate, "forest": forest}


@dataclass(frozen=True)
class HeldOut:
    """Readings and what was predicted of them without them, a row a training.

    Attributes:
        cards: number of the card of each row among the trained ones, `(n,)`.
        readings: the scores, `(n,)`.
        mean: predicted, `(n,)`.
        quantile: predicted probability of a score no higher than the reading, `(n,)`; NaN where a model has none.
        log_density: predicted logarithm of the density at the reading, `(n,)`; NaN likewise.
        cost_ratio: predicted cost of the card over the mean cost of its trainings, `(n,)`; NaN likewise.
    """

    cards: NDArray[np.int64]
    readings: Array
    mean: Array
    quantile: Array
    log_density: Array
    cost_ratio: Array

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> HeldOut:
        """The rows of a mask, or of these numbers."""
        return HeldOut(*(getattr(self, field.name)[rows] for field in fields(self)))


def cross_validate(
    trained: Sequence[Trained],
    model: Model = surrogate,
    *,
    folds: int = 10,
    repeats: int = 3,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> list[HeldOut]:
    """Every card predicted by a model fitted to the cards of other folds, all trainings of a card being in one fold.

    Args:
        trained: the cards.
        model: fits and predicts.
        folds: how many parts the cards are dealt into.
        repeats: how many times that is done, each with another shuffle.
        jobs: processes; none beside this one if not given.
        progress: told how many folds are done.

    Returns:
        A `HeldOut` of all trainings for each repeat.
    """
    order = [np.random.default_rng(seed).permutation(len(trained)) for seed in range(repeats)]
    parts = [places[fold::folds] for places in order for fold in range(folds)]
    found = _hold_out(trained, model, [_other(trained, part) for part in parts], parts, jobs, progress)
    return [_joined(found[i * folds : (i + 1) * folds]) for i in range(repeats)]


def leave_strata_out(
    trained: Sequence[Trained],
    model: Model = surrogate,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> dict[str, HeldOut]:
    """Cards of a depth, of a hidden size, or with an operation, predicted by a model that knows none of them.

    Returns:
        A `HeldOut` by the name of what was left out; without those after which fewer than 50 cards remain.
    """
    groups = {name: np.flatnonzero(mask) for name, mask in strata([t.card for t in trained]).items()}
    rest = {name: _other(trained, part) for name, part in groups.items()}
    names = [name for name in groups if sum(bool(trained[i].scores) for i in rest[name]) >= FEWEST]
    parts, known = [groups[name] for name in names], [rest[name] for name in names]
    return dict(zip(names, _hold_out(trained, model, known, parts, jobs, progress), strict=True))


def learning_curve(
    trained: Sequence[Trained],
    sizes: Sequence[int],
    model: Model = surrogate,
    *,
    repeats: int = 5,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> dict[int, list[HeldOut]]:
    """All other cards predicted by models fitted to so many, drawn at random so many times."""
    order = [np.random.default_rng(seed).permutation(len(trained)) for seed in range(repeats)]
    known = [places[:size] for size in sizes for places in order]
    found = _hold_out(trained, model, known, [_other(trained, part) for part in known], jobs, progress)
    return {size: found[i * repeats : (i + 1) * repeats] for i, size in enumerate(sizes)}


def strata(cards: Sequence[ModelCard]) -> dict[str, NDArray[np.bool_]]:
    """What may be left out, and which cards are of it; not what all cards are of."""
    found: dict[str, NDArray[np.bool_]] = {}
    for depth in sorted({card.num_layers for card in cards}):
        found[f"l={depth}"] = np.array([card.num_layers == depth for card in cards])
    for hidden in sorted({layer.hidden for card in cards for layer in card.layers}):
        found[f"h={hidden}"] = np.array([any(layer.hidden == hidden for layer in card.layers) for card in cards])
    for operation in sorted({layer.operation for card in cards for layer in card.layers}):
        found[operation] = np.array([any(layer.operation == operation for layer in card.layers) for card in cards])
    return {name: mask for name, mask in found.items() if not mask.all()}


def _hold_out(
    trained: Sequence[Trained],
    model: Model,
    known: Sequence[NDArray[np.int64]],
    new: Sequence[NDArray[np.int64]],
    jobs: int | None,
    progress: Progress | None,
) -> list[HeldOut]:
    """For each pair of parts, the second predicted by a model fitted to the first."""
    space = describing([t.card for t in trained if t.scores])
    tasks = [(trained, model, space, *parts) for parts in zip(known, new, strict=True)]
    found: dict[int, HeldOut] = {}
    with finished_tasks(_predict, tasks, jobs) as finished:
        for done in finished:
            found |= done
            if progress:
                progress("fits", len(found), len(tasks))
    return [found[i] for i in range(len(tasks))]


def _predict(
    trained: Sequence[Trained], model: Model, space: DesignSpace, known: NDArray[np.int64], new: NDArray[np.int64]
) -> HeldOut:
    guess = model([trained[i] for i in known], [trained[i].card for i in new], space)
    readings = [(*trained[i].scores, *trained[i].failed_scores) for i in new]
    rows = np.repeat(np.arange(len(new)), [len(scores) for scores in readings])
    scores = np.array([score for several in readings for score in several])
    quantile, log_density, ratio = np.full((3, len(rows)), np.nan)
    if guess.distribution is not None:
        several = guess.distribution.where(rows)
        quantile, log_density = several.cdf(scores), several.log_density(scores)
    if guess.cost_seconds is not None:
        costs = np.array([trained[i].cost_seconds for i in new])
        ratio = (guess.cost_seconds / np.where(costs > 0, costs, np.nan))[rows]
    return HeldOut(new[rows], scores, guess.mean[rows], quantile, log_density, ratio)


def _joined(parts: Sequence[HeldOut]) -> HeldOut:
    """All rows, by card."""
    columns = [np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(HeldOut)]
    order = np.argsort(columns[0], kind="stable")
    return HeldOut(*(column[order] for column in columns))


def _other(trained: Sequence[Trained], part: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(len(trained)), part)
