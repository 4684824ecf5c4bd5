"""Learning rate and batch size by a tree-structured Parzen estimator (appendix B.5; Bergstra et al. 2011).

What a trial tries depends on the seed, its number, and the trials before it alone, so an interrupted tuning goes on as
if nothing had been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypedDict

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from flexnas_bench.training.batches import step_seed
from flexnas_bench.training.finetuning import Finetuned
from flexnas_bench.training.recipe import Finetuning

#: Trials before one is stopped for being worse than half of them at the same epoch.
STARTUP = 4


class Trial(TypedDict):
    """A finished trial, as a journal has it.

    `scores` are those after each epoch, null where there was none; `pruned` says that it was stopped, `why` that it
    diverged.
    """

    learning_rate: float
    batch_size: int
    scores: list[float | None]
    seconds: float
    pruned: bool
    why: str


Report = Callable[[int, float], None]


class Pruned(Exception):  # noqa: N818 - no error
    """A trial is not worth finishing."""


def tune(
    attempt: Callable[[Finetuning, Report], Finetuned],
    settings: Finetuning,
    seed: int,
    finished: Sequence[Trial] = (),
    tell: Callable[[Trial], None] | None = None,
) -> Finetuning:
    """Settings with the learning rate and the batch size of the best trial; the first trial is of the settings' own.

    Args:
        attempt: fine-tunes with some settings and reports epochs and scores, and lets what that raises pass.
        settings: with the number of trials, and what there is to choose from.
        seed: of the sampler.
        finished: trials of an interrupted tuning.
        tell: told of each trial when it has ended.
    """
    trials = list(finished)
    while len(trials) < settings.trials:
        trials.append(_try(attempt, settings, seed, trials))
        if tell is not None:
            tell(trials[-1])
    best = max(trials, key=_score)
    return replace(settings, learning_rate=best["learning_rate"], batch_size=best["batch_size"])


def _try(
    attempt: Callable[[Finetuning, Report], Finetuned], settings: Finetuning, seed: int, before: Sequence[Trial]
) -> Trial:
    lowest, highest = settings.learning_rates
    choices: dict[str, BaseDistribution] = {
        "learning_rate": FloatDistribution(lowest, highest, log=True),
        "batch_size": CategoricalDistribution(settings.batch_sizes),
    }
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # that a study was created is no news
    study = optuna.create_study(
        direction="maximize",
        sampler=TPESampler(seed=step_seed(seed, len(before)) % 2**32, multivariate=False),
        pruner=MedianPruner(n_startup_trials=STARTUP),
    )
    study.add_trials([_frozen(trial, choices) for trial in before])
    trial = study.ask(choices)
    chosen = trial.params if before else {name: getattr(settings, name) for name in choices}
    scores: list[float] = []

    def report(epoch: int, score: float) -> None:
        scores.append(score)
        if before and not math.isnan(score):
            trial.report(score, epoch)
            if trial.should_prune():
                raise Pruned

    started = time.monotonic()
    try:
        pruned, why = False, attempt(replace(settings, **chosen), report).why
    except Pruned:
        pruned, why = True, ""
    return Trial(
        learning_rate=chosen["learning_rate"],
        batch_size=chosen["batch_size"],
        scores=[None if math.isnan(score) else score for score in scores],
        seconds=time.monotonic() - started,
        pruned=pruned,
        why=why,
    )


def _score(trial: Trial) -> float:
    """The best of its epochs; less than any where it diverged."""
    scores = [score for score in trial["scores"] if score is not None]
    return -math.inf if trial["why"] or not scores else max(scores)


def _frozen(trial: Trial, choices: dict[str, BaseDistribution]) -> FrozenTrial:
    """A finished trial as the sampler knows it; one that diverged is told as failed."""
    score = _score(trial)
    values = {epoch: one for epoch, one in enumerate(trial["scores"], 1) if one is not None}
    state = TrialState.PRUNED if trial["pruned"] else TrialState.COMPLETE
    return optuna.create_trial(
        state=TrialState.FAIL if math.isinf(score) else state,
        value=None if math.isinf(score) else score,
        params={name: trial[name] for name in choices},  # type: ignore[literal-required]  # both are
        distributions=choices,
        intermediate_values=values,
    )
