"""The whole judgement of a surrogate by its own trained cards, as `flexnas-bench surrogate evaluate` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.processes import Progress
from flexnas_bench.surrogate.judging import Interval, judge, noise_ceiling, noise_samples, paired
from flexnas_bench.surrogate.model import Surrogate
from flexnas_bench.surrogate.validation import MODELS, HeldOut, cross_validate, learning_curve, leave_strata_out, strata

Judgement = Mapping[str, Interval]
ALL, STRONGEST = "all cards", "strongest"
DIFFERENCE, CEILING = "surrogate - forest", "noise ceiling"
#: Cards of a group that is judged by itself.
FEWEST_JUDGED = 10
#: Cards with a score that ten folds take.
FEWEST_FOLDED = 60
#: Sizes of samples of the learning curve.
SIZES = (75, 150, 300)


@dataclass(frozen=True)
class Evaluation:
    """What is known of how well scores are predicted.

    Attributes:
        surrogate: fitted to all cards.
        folds: of the surrogate, the rows of each cross-validation.
        strongest: which trained cards are of the greatest depth and hidden size, `(n,)`.
        noise: standard deviation of the score of a repeated training, read from cards trained several times; NaN
            where none was.
        judged: figures in cross-validation, by group (all cards, strongest), then by model, their difference, and the
            noise ceiling; without groups of fewer than ten cards, as below.
        regions: figures of the surrogate in cross-validation, by depth and hidden size.
        left_out: figures of the surrogate for strata that it was not fitted to, by what was left out, each followed by
            those of the same cards in cross-validation.
        curve: its figures for the other cards, by the number of trained ones; the interval is over draws.
    """

    surrogate: Surrogate
    folds: Sequence[HeldOut]
    strongest: NDArray[np.bool_]
    noise: Interval
    judged: Mapping[str, Mapping[str, Judgement]]
    regions: Mapping[str, Judgement]
    left_out: Mapping[str, Judgement]
    curve: Mapping[int, Judgement]


def evaluate(
    surrogate: Surrogate,
    *,
    repeats: int = 3,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judges a surrogate by ten folds, by strata left out, and by smaller samples.

    Args:
        surrogate: fitted to all of its trained cards.
        repeats: how many times ten folds are dealt.
        jobs: processes; none beside this one if not given.
        progress: told how many fits of each part are done.

    Raises:
        NotMeasuredError: fewer than 60 cards have a score.
    """

    def told(part: str) -> Progress | None:
        return None if progress is None else lambda _, done, total: progress(part, done, total)

    trained = surrogate.trained
    if sum(bool(t.scores) for t in trained) < FEWEST_FOLDED:
        raise NotMeasuredError(f"to judge predictions takes {FEWEST_FOLDED} scored cards; there are {len(trained)}")
    held = {
        name: cross_validate(trained, model, repeats=repeats, jobs=jobs, progress=told(f"ten folds, {name}"))
        for name, model in MODELS.items()
    }
    ours = held["surrogate"]
    regions = [_region(t.card) for t in trained]
    strongest = np.array([region == max(regions) for region in regions])
    noise = noise_samples(trained)
    groups = {ALL: np.ones(len(trained), dtype=bool), STRONGEST: strongest}
    names = {f"l={depth}, h={hidden}": (depth, hidden) for depth, hidden in sorted(set(regions))}
    parts = {name: np.array([other == region for other in regions]) for name, region in names.items()}
    left_out = leave_strata_out(trained, jobs=jobs, progress=told("strata left out"))
    sizes = [size for size in SIZES if size + 2 * FEWEST_JUDGED <= len(trained)]
    curve = learning_curve(trained, sizes, jobs=jobs, progress=told("learning curve"))
    return Evaluation(
        surrogate=surrogate,
        folds=ours,
        strongest=strongest,
        noise=Interval(*np.quantile(noise, [0.5, 0.05, 0.95]).tolist()) if len(noise) else Interval(*[np.nan] * 3),
        judged={
            group: _judge_group(surrogate, {name: _of(rows, cards) for name, rows in held.items()}, cards, noise)
            for group, cards in groups.items()
            if _judged(_of(ours, cards))
        },
        regions={name: judge(_of(ours, cards)) for name, cards in parts.items() if _judged(_of(ours, cards))},
        left_out=_judge_left_out(left_out, ours, strata([t.card for t in trained])),
        curve={size: _over_draws(rows) for size, rows in curve.items()},
    )


def _judge_group(
    surrogate: Surrogate, held: Mapping[str, Sequence[HeldOut]], cards: NDArray[np.bool_], noise: NDArray[np.float64]
) -> dict[str, Judgement]:
    """Figures of each model for some cards, their difference, and the ceiling."""
    found: dict[str, Judgement] = {name: judge(rows) for name, rows in held.items()}
    if len(held) == 2:
        found[DIFFERENCE] = paired(*held.values())
    some = [t for t, inside in zip(surrogate.trained, cards, strict=True) if inside]
    return found | ({CEILING: ceiling} if (ceiling := noise_ceiling(surrogate, some, noise)) else {})


def _judge_left_out(
    left_out: Mapping[str, HeldOut], folds: Sequence[HeldOut], groups: Mapping[str, NDArray[np.bool_]]
) -> dict[str, Judgement]:
    """Figures of strata that were left out, each followed by those of the same cards in ten folds."""
    found: dict[str, Judgement] = {}
    for name, rows in left_out.items():
        if _judged([rows]):
            found[name] = judge([rows])
            found[f"{name}, in ten folds"] = judge(_of(folds, groups[name]))
    return found


def _region(card: ModelCard) -> tuple[int, int]:
    """Depth and widest hidden size."""
    return card.num_layers, max(layer.hidden for layer in card.layers)


def _of(repeats: Sequence[HeldOut], cards: NDArray[np.bool_]) -> list[HeldOut]:
    return [rows.where(cards[rows.cards]) for rows in repeats]


def _judged(repeats: Sequence[HeldOut]) -> bool:
    """Whether there are enough cards with a reading."""
    rows = repeats[0]
    return len(np.unique(rows.cards[~np.isnan(rows.readings)])) >= FEWEST_JUDGED


def _over_draws(draws: Sequence[HeldOut]) -> Judgement:
    """Means over draws of the learning curve, with the lowest and the highest."""
    found = [{name: figure.value for name, figure in judge([rows], resamples=0).items()} for rows in draws]
    return {
        name: Interval(float(np.mean(values)), min(values), max(values))
        for name in found[0]
        for values in [[each[name] for each in found]]
    }
