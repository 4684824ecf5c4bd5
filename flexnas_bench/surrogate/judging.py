"""How good predictions are: agreement in value and in order, calibration, and the ceiling that noise sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import r2_score

from flexnas_bench.surrogate.failures import Failures
from flexnas_bench.surrogate.model import Surrogate
from flexnas_bench.surrogate.trained import Trained
from flexnas_bench.surrogate.validation import HeldOut

Array = NDArray[np.float64]
#: Of the percentile bootstrap over cards.
CONFIDENCE, RESAMPLES = 0.90, 400
#: Of sparse Kendall tau: differences smaller than this, in points, are none.
GRAIN = 0.1
#: The part of cards that `top` compares.
TOP = 0.1
_READINGS = 5  # of each noise of a ceiling
COVERAGES = (0.50, 0.80, 0.95)


class Interval(NamedTuple):
    """A figure with its 90 % bootstrap interval over cards; NaN where there is none."""

    value: float
    low: float
    high: float


def kendall(mean: Array, readings: Array) -> float:
    """Kendall's tau-b of predicted and read scores; 0 where all of one kind are equal, as no order is told."""
    return float(kendalltau(mean, readings).statistic) if np.ptp(mean) and np.ptp(readings) else 0.0


def sparse_kendall(mean: Array, readings: Array) -> float:
    """Kendall's tau-b of scores rounded to 0.1 points, which ignores what nobody cares about (NAS-Bench-301)."""
    return kendall(np.round(mean / GRAIN), np.round(readings / GRAIN))


def spearman(mean: Array, readings: Array) -> float:
    """Spearman's rank correlation; 0 as for `kendall`."""
    return float(spearmanr(mean, readings).statistic) if np.ptp(mean) and np.ptp(readings) else 0.0


def top_overlap(mean: Array, readings: Array) -> float:
    """The part of the best tenth of readings that is in the best tenth of predictions."""
    k = max(1, round(TOP * len(mean)))
    best, predicted = (set(np.argsort(-values, kind="stable")[:k].tolist()) for values in (readings, mean))
    return len(best & predicted) / k


def regret(mean: Array, readings: Array) -> float:
    """What the training of the best prediction has less than the best reading, in points."""
    return float(readings.max() - readings[mean.argmax()])


def mean_absolute_error(mean: Array, readings: Array) -> float:
    """In points."""
    return float(np.abs(mean - readings).mean())


def bias(mean: Array, readings: Array) -> float:
    """Mean of predictions less readings, in points."""
    return float((mean - readings).mean())


#: Figures of predictions `(n,)` and readings `(n,)`.
AGREEMENT: Mapping[str, Callable[[Array, Array], float]] = {
    "R2": lambda mean, readings: float(r2_score(readings, mean)),
    "Kendall tau": kendall,
    "sparse Kendall tau": sparse_kendall,
    "Spearman": spearman,
    "top 10 % overlap": top_overlap,
    "regret": regret,
    "mean absolute error": mean_absolute_error,
    "bias": bias,
}


def figures(rows: HeldOut) -> dict[str, float]:
    """All figures of predictions: those of `AGREEMENT`, calibration, and the median error of predicted costs.

    `NLL` is the mean negative logarithm of the predicted density at the readings; `inside 80 %` the part of readings
    in the central interval that should hold 80 % of them.
    """
    found = {name: figure(rows.mean, rows.readings) for name, figure in AGREEMENT.items()}
    found["NLL"] = float(-rows.log_density.mean())
    known = not np.isnan(rows.quantile).any()
    for share in COVERAGES:
        inside = np.abs(rows.quantile - 0.5) <= share / 2
        found[f"inside {share:.0%}".replace("%", " %")] = float(inside.mean()) if known else np.nan
    ratios = rows.cost_ratio[~np.isnan(rows.cost_ratio)]
    found["error of costs"] = float(np.median(np.abs(ratios - 1))) if len(ratios) else np.nan
    return found


def paired(first: Sequence[HeldOut], second: Sequence[HeldOut]) -> dict[str, Interval]:
    """The figures of one model less those of another on the same rows, with intervals by drawing the same cards."""
    models = [[rows.where(~np.isnan(rows.readings)) for rows in each] for each in (first, second)]

    def difference(seed: int | None) -> dict[str, float]:
        drawn = [[rows if seed is None else _drawn(rows, seed) for rows in each] for each in models]
        ours, theirs = map(_mean_figures, drawn)
        return {name: ours[name] - theirs[name] for name in AGREEMENT}

    samples = [difference(seed) for seed in range(RESAMPLES)]
    return {name: _interval(middle, [one[name] for one in samples]) for name, middle in difference(None).items()}


def judge(repeats: Sequence[HeldOut], resamples: int | None = None) -> dict[str, Interval]:
    """The figures of predictions, each the mean over repeats, with 90 % intervals by drawing cards again.

    Trainings without a score do not count.

    Args:
        repeats: of one cross-validation, or a single one.
        resamples: how often cards are drawn, 400 times if not given; with 0 there are no intervals.
    """
    repeats = [rows.where(~np.isnan(rows.readings)) for rows in repeats]
    value = _mean_figures(repeats)
    samples = [
        _mean_figures([_drawn(rows, seed) for rows in repeats])
        for seed in range(RESAMPLES if resamples is None else resamples)
    ]
    return {name: _interval(middle, [sample[name] for sample in samples]) for name, middle in value.items()}


def noise_ceiling(surrogate: Surrogate, trained: Sequence[Trained], noise: Array) -> dict[str, Interval]:
    """How well the true expected scores would agree with one reading of each card, with the noise of a training.

    What cards differ by is taken from their fine readings, drawn together until they spread by as much as there is
    without noise. To these a training's noise is added, and failures with their probability by depth. Of each noise
    several readings are drawn, and the mean figure counts.

    Args:
        surrogate: knows about failures.
        trained: cards that count.
        noise: plausible standard deviations of the noise, in points, `(m,)`; the interval is over these. Those that
            exceed the spread of the readings, which holds the noise, are not possible and do not count.

    Returns:
        The figures of `AGREEMENT`; none if no noise is possible.
    """
    some = [t for t in trained if t.scores]
    fine = np.array([t.fine for t in some])
    rates = surrogate.predict([t.card for t in some]).failure_probability
    possible = noise[noise < fine.std()]
    found = [_reached(fine, rates, surrogate.failures, deviation, seed) for seed, deviation in enumerate(possible)]
    columns = {name: [each[name] for each in found] for name in AGREEMENT} if found else {}
    return {name: _interval(float(np.median(values)), values) for name, values in columns.items()}


def _reached(fine: Array, rates: Array, failures: Failures, noise: float, seed: int) -> dict[str, float]:
    """Figures of the truth behind readings with this noise, mean of several draws of them."""
    rng = np.random.default_rng(seed)
    truth = fine.mean() + (fine - fine.mean()) * np.sqrt(1 - (noise / fine.std()) ** 2)
    samples = []
    for _ in range(_READINGS):
        failed = rng.random(len(fine)) < rates
        lacking = failed * (failures.shortfall + failures.spread * rng.standard_normal(len(fine)))
        readings = truth - lacking + ~failed * noise * rng.standard_normal(len(fine))
        mean = truth - rates * failures.shortfall
        samples.append({name: figure(mean, readings) for name, figure in AGREEMENT.items()})
    return {name: float(np.mean([sample[name] for sample in samples])) for name in AGREEMENT}


def noise_samples(trained: Sequence[Trained]) -> Array:
    """Plausible standard deviations of the noise of a training, `(400,)`, from cards trained several times.

    Draws of the posterior of a normal sample's deviation: squares of differences from means over draws of chi-squared.
    Empty where no card was trained twice.
    """
    freedom = sum(len(t.scores) - 1 for t in trained if t.scores)
    squares = sum((score - t.fine) ** 2 for t in trained for score in t.scores)
    return np.sqrt(squares / np.random.default_rng(0).chisquare(freedom, RESAMPLES)) if freedom else np.empty(0)


def _interval(middle: float, samples: Sequence[float]) -> Interval:
    if np.isnan(middle) or not len(samples):
        return Interval(middle, np.nan, np.nan)
    low, high = np.quantile(samples, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(middle, float(low), float(high))


def _mean_figures(repeats: Sequence[HeldOut]) -> dict[str, float]:
    found = [figures(rows) for rows in repeats]
    return {name: float(np.mean([each[name] for each in found])) for name in found[0]}


def _drawn(rows: HeldOut, seed: int) -> HeldOut:
    """Rows of as many cards drawn with replacement, the same cards for the same seed."""
    names, places = np.unique(rows.cards, return_inverse=True)
    times = np.bincount(np.random.default_rng(seed).integers(len(names), size=len(names)), minlength=len(names))
    return rows.where(np.repeat(np.arange(len(rows.cards)), times[places]))
