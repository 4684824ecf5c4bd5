"""Predicted scores: what a card that nobody trained would probably score and cost, and how sure that is.

A Gaussian process on the embedding `stretched` for the trainings that did not fail, with a noise for each depth; beside
it, for each depth, how often a training fails, and what it then lacks. `benchmarks/surrogate_models.py` says what else
was tried, and `flexnas-bench surrogate evaluate` how well it predicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.stretched import Stretched
from flexnas_bench.errors import InvalidSpaceError, NotMeasuredError
from flexnas_bench.predictors.process import Predicted, ProcessSettings, RegionalProcess, by_region
from flexnas_bench.results import SURROGATE_SPACE
from flexnas_bench.space import Choices, DesignSpace, GridSpace, load_space
from flexnas_bench.surrogate.failures import Failures
from flexnas_bench.surrogate.fitted import Fitted, FittedModel
from flexnas_bench.surrogate.predictor import Prediction, noise_of
from flexnas_bench.surrogate.support import Support
from flexnas_bench.surrogate.trained import Trained, repeats

Array = NDArray[np.float64]
#: Cards with a score that a model needs, and those that it can take: its matrices have a row and a column for each.
FEWEST, LIMIT = 50, 5_000
#: Share of the trained cards that G3 has where predictions are for its cards; the others do not count then.
MOST = 0.9
#: Pairs of trainings of one card that it takes to read the noise of a training from them.
FEWEST_REPEATS = 5
#: Digits of a prediction after the point; further ones depend on how many cores add up the sums.
DIGITS = 6
_BATCH = 512  # as many points as stay in a processor's cache with their covariances


@dataclass(frozen=True)
class Mixture:
    """How the score of one training of each of `n` cards is distributed: a normal one, and one of failures.

    Attributes:
        mean: of a training that does not fail, `(n,)`.
        std: its standard deviation, `(n,)`.
        failure_probability: that it fails, `(n,)`.
        shortfall: what a failed one lacks on average, in points.
        spread: standard deviation of that, which holds the uncertainty of the mean too; 0 where it is not known, and
            then a failed one is as uncertain as another.
    """

    mean: Array
    std: Array
    failure_probability: Array
    shortfall: float
    spread: float

    def cdf(self, scores: Array) -> Array:
        """The probability of a score no higher than this one, by card, `(n,)`."""
        fine, failed = (ndtr(z) for z in self._deviations(scores))
        found: Array = (1 - self.failure_probability) * fine + self.failure_probability * failed
        return found

    def log_density(self, scores: Array) -> Array:
        """The logarithm of the density of a score, by card, `(n,)`."""
        fine, failed = (-(z**2) / 2 - math.log(2 * math.pi) / 2 for z in self._deviations(scores))
        with np.errstate(divide="ignore"):
            rate = np.log(self.failure_probability)
        parts = np.log1p(-self.failure_probability) + fine - np.log(self.std), rate + failed - np.log(self._failed_std)
        found: Array = np.logaddexp(*parts)
        return found

    def _deviations(self, scores: Array) -> tuple[Array, Array]:
        return (scores - self.mean) / self.std, (scores - self.mean + self.shortfall) / self._failed_std

    def where(self, rows: NDArray[np.int64]) -> Mixture:
        """Those of the cards of these numbers."""
        return Mixture(self.mean[rows], self.std[rows], self.failure_probability[rows], self.shortfall, self.spread)

    @property
    def _failed_std(self) -> Array:
        return np.full_like(self.std, self.spread) if self.spread else self.std


class Surrogate:
    """Predicts scores and costs of cards from trained ones.

    Args:
        trained: trained cards with their scores.
        name: of what is predicted; noise is drawn afresh for another one.
        source: where the scores come from.
        fitted: hyperparameters by `facts`; where there are none they are found, which takes seconds.
        space: described by these cards if not given (see the attribute).

    Attributes:
        space: the design space of all cards that it can describe: G3 where nine in ten trained cards are of it,
            otherwise all combinations of the values of trained cards.
        trained: the trained cards that count, those of `space`.
        noise: standard deviation of the score of a training that does not fail, by depth (see `training_noises`).
        failures: how often trainings fail, by depth.
        support: what trained cards have.
        fitted: hyperparameters, as given or found.
        facts: 16 hex digits of the trainings behind it.
        digest: 16 hex digits of what the predictions follow from.
        source: as given.

    Raises:
        NotMeasuredError: fewer than 50 cards of one space have a score, or more than 5,000.
    """

    def __init__(
        self,
        trained: Sequence[Trained],
        *,
        name: str = "",
        source: str = "",
        fitted: Mapping[str, FittedModel] | None = None,
        space: DesignSpace | None = None,
    ) -> None:
        self.space = describing([t.card for t in trained if t.scores]) if space is None else space
        self.trained = [t for t in trained if t.card in self.space]
        self.source, self._name = source, name
        known = [t for t in self.trained if t.scores]
        if not FEWEST <= len(known) <= LIMIT:
            raise NotMeasuredError(f"predictions need {FEWEST} to {LIMIT:,} scored cards; there are {len(known):,}")
        self.facts = facts_digest(self.trained)
        self.support = Support(t.card for t in known)
        given = fitted[self.facts].fitted if fitted and self.facts in fitted else Fitted()
        x, regions = self._features([t.card for t in known])
        self._scores = RegionalProcess(x, np.array([t.fine for t in known]), regions, given.scores)
        self._log_costs = self._fit_costs(given.costs)
        self.fitted = Fitted(self._scores.settings, self._log_costs.settings if self._log_costs else None)
        self.digest = sha256(repr((self.facts, self.fitted)).encode()).hexdigest()[:16]
        self.failures = self._count_failures()
        self._trainings = typical_trainings(known, regions)
        left = {region: self._scores.noise_std(region) for region in self._trainings}
        self.noise = training_noises(repeats(known, regions), left, self._trainings)
        self._held_out, self._expected = self._without_themselves(known)

    def predict(self, cards: Sequence[ModelCard]) -> Prediction:
        """What is predicted of each card.

        Raises:
            NotInSpaceError: a card is not in `space`.
        """
        mean, epistemic, aleatoric, rates = np.empty((4, len(cards)))
        for i in range(0, len(cards), _BATCH):
            batch = slice(i, i + _BATCH)
            fine, rate = self._fine(cards[batch])
            lacking, spread = self.failures.shortfall, self.failures.spread
            failed = spread or fine.aleatoric_std
            squares = (1 - rate) * fine.aleatoric_std**2 + rate * failed**2 + rate * (1 - rate) * lacking**2
            mean[batch] = (fine.mean - rate * lacking).round(DIGITS)
            epistemic[batch] = fine.epistemic_std.round(DIGITS)
            aleatoric[batch], rates[batch] = np.sqrt(squares).round(DIGITS), rate
        within = np.fromiter((card in self.support for card in cards), bool, len(cards))
        return Prediction(mean, epistemic, aleatoric, rates, within)

    def distribution(self, cards: Sequence[ModelCard]) -> Mixture:
        """How the score of one training of each card is distributed; raises `NotInSpaceError`."""
        fine, rate = self._fine(cards)
        std = np.hypot(fine.epistemic_std, fine.aleatoric_std)
        return Mixture(fine.mean, std, rate, self.failures.shortfall, self.failures.spread)

    def draw(self, card: ModelCard, seed: int) -> float:
        """The score of one training, failed ones among them, about the predicted mean; the same for the same seed.

        Raises:
            NotInSpaceError: the card is not in `space`.
        """
        rng = noise_of(card, seed, self._name)
        fine, rate = self._fine([card])
        chance, deviation = rng.random(), rng.standard_normal()
        score = fine.mean[0] + fine.aleatoric_std[0] * deviation
        if chance < rate[0]:
            spread = self.failures.spread or fine.aleatoric_std[0]
            score = fine.mean[0] - self.failures.shortfall + spread * deviation
        return round(float(score), DIGITS)

    def cost_seconds(self, cards: Sequence[ModelCard]) -> Array:
        """Predicted (median) seconds of a training of each card, NaN where none are known; raises `NotInSpaceError`."""
        x, regions = self._features(cards)
        if self._log_costs is None:
            return np.full(len(cards), np.nan)
        return np.exp(self._log_costs.predict(x, regions).mean).round(DIGITS)

    def expected(self, card: ModelCard) -> float:
        """What another training of a card would score on average, best guess.

        Of a trained card that is what is predicted without it, and of the difference to its own reading the share that
        is not noise: epistemic^2 / (epistemic^2 + aleatoric^2 / n) for n trainings. A reading that failed counts for
        nothing. Of any other card it is the prediction.
        """
        return self._expected[card] if card in self._expected else float(self.predict([card]).mean[0])

    def lacking(self, card: ModelCard) -> list[str]:
        """What a card has that trained cards lack, in words; nothing of a card in support."""
        return self.support.lacking(card)

    def held_out(self, card: ModelCard) -> float:
        """The mean that is predicted of a card without its own readings; raises `NotInSpaceError`."""
        return self._held_out[card] if card in self._held_out else float(self.predict([card]).mean[0])

    def _fine(self, cards: Sequence[ModelCard]) -> tuple[Predicted, Array]:
        """Of trainings that do not fail what is predicted; and how probably one fails, `(n,)`."""
        x, regions = self._features(cards)
        return self._split(self._scores.predict(x, regions), regions), self.failures.probability(regions)

    def _split(self, found: Predicted, regions: NDArray[np.int64]) -> Predicted:
        """What the process calls noise, parted into that of a training and what the vectors do not tell of a card."""
        noise = by_region(self.noise, regions)
        in_means = noise**2 / by_region(self._trainings, regions)
        unexplained = np.sqrt((found.aleatoric_std**2 - in_means).clip(0))
        return Predicted(found.mean, np.hypot(found.epistemic_std, unexplained), noise)

    def _features(self, cards: Sequence[ModelCard]) -> tuple[Array, NDArray[np.int64]]:
        """Vectors, and depths, which are the regions."""
        depths = np.array([card.num_layers for card in cards], dtype=np.int64)
        return vectors(cards, self.space), depths

    def _fit_costs(self, settings: ProcessSettings | None) -> RegionalProcess | None:
        known = [t for t in self.trained if t.cost_seconds > 0]
        if len(known) < FEWEST:
            return None
        x, regions = self._features([t.card for t in known])
        return RegionalProcess(x, np.log([t.cost_seconds for t in known]), regions, settings)

    def _count_failures(self) -> Failures:
        """From all trainings; what a failed one lacks is seen beside the process of the others."""
        _, depths = self._features([t.card for t in self.trained])
        counts = [(len(t.scores), len(t.failed_scores)) for t in self.trained]
        mask = np.concatenate([[False] * fine + [True] * bad for fine, bad in counts])
        regions = np.repeat(depths, [fine + bad for fine, bad in counts])
        bad = [(t.card, score) for t in self.trained for score in t.failed_scores]
        if not bad:
            return Failures.count(mask, regions, np.empty(0))
        x, where = self._features([card for card, _ in bad])
        lacking = self._scores.predict(x, where).mean - np.array([score for _, score in bad])
        return Failures.count(mask, regions, lacking)

    def _without_themselves(self, known: Sequence[Trained]) -> tuple[dict[ModelCard, float], dict[ModelCard, float]]:
        """Of each card the mean predicted without its own readings, and the expected one with them (`expected`)."""
        _, regions = self._features([t.card for t in known])
        without = self._split(self._scores.leave_one_out(), regions)
        noise = without.aleatoric_std**2 / np.array([len(t.scores) for t in known])
        share = without.epistemic_std**2 / np.maximum(without.epistemic_std**2 + noise, 1e-12)
        lacking = self.failures.probability(regions) * self.failures.shortfall
        expected = without.mean + share * (np.array([t.fine for t in known]) - without.mean)
        columns = [(fine - lacking).round(DIGITS).tolist() for fine in (without.mean, expected)]
        held_out, shrunk = (dict(zip((t.card for t in known), column, strict=True)) for column in columns)
        return held_out, shrunk


def facts_digest(trained: Sequence[Trained]) -> str:
    """16 hex digits of what a surrogate is fitted to."""
    facts = [(t.card.hash, t.scores, t.failed_scores, t.cost_seconds) for t in trained]
    return sha256(repr(facts).encode()).hexdigest()[:16]


def training_noises(
    repeated: Mapping[int, tuple[float, int]], left: Mapping[int, float], trainings: Mapping[int, float]
) -> dict[int, float]:
    """Standard deviation of the noise of a training, by region.

    Where cards were trained again, five times or more in all, it is that of their scores, as far as what is left has
    room for it; everywhere else all that is left.

    Args:
        repeated: variance of scores of one card and its degrees of freedom.
        left: standard deviation of the mean scores of cards about what the vectors tell of them.
        trainings: of how many trainings such a mean is (`typical_trainings`).
    """
    found = {}
    for region, unexplained in left.items():
        most = unexplained * math.sqrt(trainings[region])
        variance, freedom = repeated.get(region, (math.inf, 0))
        found[region] = min(most, math.sqrt(variance)) if freedom >= FEWEST_REPEATS else most
    return found


def typical_trainings(known: Sequence[Trained], regions: NDArray[np.int64]) -> dict[int, float]:
    """By region, how many trainings mean scores are of: the harmonic mean, as the noise of a mean goes by 1 / n."""
    counts = np.array([len(t.scores) for t in known])
    return {region: float(1 / np.mean(1 / counts[regions == region])) for region in np.unique(regions).tolist()}


def describing(cards: Sequence[ModelCard]) -> DesignSpace:
    """The space whose cards a surrogate of these trained ones can describe."""
    if len(cards) < FEWEST:
        raise NotMeasuredError(f"predictions need {FEWEST} to {LIMIT:,} scored cards; there are {len(cards)}")
    paper = load_space(SURROGATE_SPACE)
    if sum(card in paper for card in cards) >= max(MOST * len(cards), FEWEST):
        return paper
    try:
        return GridSpace("of the trained cards' values", Choices.of(cards))
    except InvalidSpaceError as error:
        raise NotMeasuredError(f"these {len(cards)} cards are too different to predict others from: {error}") from error


def vectors(cards: Sequence[ModelCard], space: DesignSpace) -> Array:
    """Vectors of cards of a space as the surrogate has them, `(n, d)`; raises `NotInSpaceError`."""
    return _embedding(space).vectors(cards).astype(np.float64)


@lru_cache(maxsize=8)
def _embedding(space: DesignSpace) -> Stretched:
    return Stretched(space)
