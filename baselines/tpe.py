"""TPE: the tree-structured Parzen estimator, Optuna's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from flexnas_bench import DesignSpace, OptionError

from .ask_tell import AskTell


class TPE(AskTell):
    """Tree-structured Parzen estimator (Bergstra et al. 2011): options frequent in good cards and rare in others.

    Optuna's sampler with the defaults of its version 5: the best tenth of the cards are the good ones, 25 at most;
    decisions are drawn jointly, from a mixture with a kernel for each good card; cards being evaluated count as bad, so
    that others are suggested. What differs is that decisions are grouped by the cards that have them (the first stacks
    with the number of layers, the later ones among themselves), and that nothing is random beyond the initial cards.

    Args:
        space: the design space to search.
        n_ei_candidates: cards drawn, of which the one with the highest expected improvement is suggested.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(self, space: DesignSpace, *, n_ei_candidates: int = 24, **common: Any) -> None:
        super().__init__(space, **common)
        if n_ei_candidates < 1:
            raise OptionError(f"n_ei_candidates must be positive, not {n_ei_candidates}")
        self.n_ei_candidates = n_ei_candidates
        self._distributions = {
            name: CategoricalDistribution(range(len(options))) for name, options in space.decisions.options.items()
        }
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # that a study was created is no news
        try:
            self.study = optuna.create_study(direction="maximize")
        finally:
            optuna.logging.set_verbosity(verbosity)

    def suggest(self, rng: np.random.Generator) -> Mapping[str, Any]:
        """What Optuna suggests next, a decision at a time: the number of layers says which ones there are."""
        self.study.sampler = self._sampler(int(rng.integers(2**32)))
        for values in self.running[len(self._running_trials()) :]:
            self._add(values, TrialState.RUNNING)
        trial = self.study.ask()
        suggested: dict[str, Any] = {}
        for name, options in self.space.decisions.options.items():
            if suggested and name not in self.space.decisions.names(suggested["layers"]):
                break
            suggested[name] = options[trial.suggest_categorical(name, range(len(options)))]
        self.study.tell(trial, state=TrialState.FAIL)  # what counts is the card that comes of it
        return suggested

    def learn(self, values: Mapping[str, Any], score: float | None) -> None:
        """Adds a trial to the study."""
        for trial in self._running_trials():  # the next suggestion adds what is running then, after all that is told
            self.study.tell(trial.number, state=TrialState.FAIL)
        self._add(values, TrialState.FAIL if score is None else TrialState.COMPLETE, score)

    def _running_trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _add(self, values: Mapping[str, Any], state: TrialState, score: float | None = None) -> None:
        # Optuna's choices may not be tuples, so they are the positions of the options.
        params = {name: self.space.decisions.options[name].index(value) for name, value in values.items()}
        distributions: dict[str, BaseDistribution] = {name: self._distributions[name] for name in values}
        self.study.add_trial(optuna.create_trial(state=state, value=score, params=params, distributions=distributions))

    def _sampler(self, seed: int) -> TPESampler:
        """A new one for each proposal, so that it depends on what was told alone."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # the first three options, depending on the version
            return TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=0,
                n_ei_candidates=self.n_ei_candidates,
                seed=seed,
            )
