"""Bayesian optimisation with a Gaussian process, as BoTorch recommends it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal

from flexnas_bench import DesignSpace, Optimizer, OptionError, reproducible

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # GPyTorch calls `torch.jit.script` as it is imported
    from botorch.acquisition.analytic import LogExpectedImprovement
    from botorch.exceptions.errors import ModelFittingError
    from botorch.exceptions.warnings import OptimizationWarning
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.model import Model
    from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
    from botorch.posteriors.torch import TorchPosterior
    from gpytorch.mlls import ExactMarginalLogLikelihood
    from gpytorch.settings import max_cholesky_size
    from gpytorch.utils.warnings import NumericalWarning

_PART = 1_024  # candidates at a time: their covariances with the points stay in the processor's cache


class GPBO(Optimizer):
    """Bayesian optimisation: expected improvement under a Gaussian process, by BoTorch.

    The model is `SingleTaskGP` on the features of the embedding: a Matern-5/2 kernel with one length scale per feature
    under the dimension-scaled prior of Hvarfner et al. (ICML 2024), noise under its prior, standardised values,
    hyperparameters at the maximum of their posterior. The card proposed is the unseen one of the highest `LogEI`
    (Ament et al., NeurIPS 2023). Pending cards count as told, with the value that the model expects of them: the
    kriging believer of Ginsbourger et al. (2010). It serves batches too, one card after the other.

    Hyperparameters are learned anew after every value at first and, from twenty on, whenever a tenth more is told; and
    from the first m values alone, so that they follow from the history however it was told. All else uses all values.

    Args:
        space: the design space.
        fit_steps: most L-BFGS steps of the hyperparameters.
        **common: `seed`, `embedding` and `initial`, see `Optimizer`.
    """

    def __init__(self, space: DesignSpace, *, fit_steps: int = 20, **common: Any) -> None:
        super().__init__(space, **common)
        if fit_steps < 1:
            raise OptionError(f"fit_steps: {fit_steps} is not 1 or more")
        self.fit_steps = fit_steps
        self._rows: dict[int, Tensor] = {}
        self._fitted: tuple[int, SingleTaskGP] | None = None

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """The unseen index of the highest `LogEI`; as long as no evaluation succeeded, `n` random ones."""
        if not self.succeeded:
            return self.draw_unseen(n, rng)
        with exact(self.seed):
            return self.highest_unseen(self.score(self.process()), 1, rng)

    def process(self) -> Process:
        """The Gaussian process of the history, in which at least one evaluation succeeded, and of what is pending."""
        x = self._points([self.indices[i] for i in self.succeeded])
        y = torch.tensor([self.values[i] for i in self.succeeded], dtype=x.dtype)
        model = self._hyperparameters(x, y)
        process = Process(model, x, standardised(y))
        if not self.pending:
            return process
        pending = self._points(self.pending)
        believed, _ = process.mean_and_variance(pending)
        return Process(model, torch.cat([x, pending]), torch.cat([process.y, believed]))

    def score(self, process: Process) -> Callable[[NDArray[np.floating]], NDArray[np.floating]]:
        """`LogEI` of features `(m, d)`, an array `(m,)`."""
        # The best of noisy values is likely a lucky one, and would hide what improves on its card. So it is the highest
        # mean of a point that has to be exceeded: the plug-in of Picheny et al. (2013).
        best = process.mean_and_variance(process.x)[0].max()
        acquisition = LogExpectedImprovement(process, best_f=best)
        return lambda features: acquisition(inputs(features).unsqueeze(-2)).numpy()

    def _points(self, indices: Sequence[int]) -> Tensor:
        """Inputs of cards, `(len(indices), d)`."""
        for i in indices:
            if i not in self._rows:  # one by one, as a vector may round differently in company
                self._rows[i] = inputs(self.embedding.features_of([self.space[i]]))
        return torch.cat([self._rows[i] for i in indices])

    def _hyperparameters(self, x: Tensor, y: Tensor) -> SingleTaskGP:
        """A model with the hyperparameters that the first m points of the history ask for."""
        m = fit_size(len(y))
        if self._fitted is None or self._fitted[0] != m:
            self._fitted = m, fit(x[:m], standardised(y[:m]), self.fit_steps)
        return self._fitted[1]


class Process(Model):
    """A Gaussian process given points, which tells mean and variance of each candidate by itself.

    BoTorch's own posterior has the covariances of all candidates with each other, or a kernel matrix of all points for
    each candidate, which takes seconds where this takes hundredths of one.

    Args:
        model: has the hyperparameters.
        x: points, `(n, d)`.
        y: standardised values, `(n,)`.
    """

    num_outputs = 1

    def __init__(self, model: SingleTaskGP, x: Tensor, y: Tensor) -> None:
        super().__init__()
        self.kernel, self.x, self.y = model.covar_module, x, y
        self.constant, self.noise = model.mean_module.constant, model.likelihood.noise
        covariance = self.kernel(x).to_dense() + self.noise * torch.eye(len(x), dtype=x.dtype)
        self.root = torch.linalg.cholesky(covariance)
        self.weights = torch.cholesky_solve((y - self.constant).unsqueeze(-1), self.root).squeeze(-1)

    def mean_and_variance(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both `(m,)`, of candidates `(m, d)`; Rasmussen and Williams (2006), equations 2.25 and 2.26."""
        means, variances = [], []
        for part in torch.split(x, _PART):
            across = self.kernel(self.x, part).to_dense()
            explained = torch.linalg.solve_triangular(self.root, across, upper=False).square().sum(dim=0)
            means.append(self.constant + self.weights @ across)
            variances.append(self.kernel(part, diag=True) - explained)
        return torch.cat(means), torch.cat(variances)

    def posterior(self, X: Tensor, *args: Any, **kwargs: Any) -> TorchPosterior:  # noqa: ARG002, N803 - BoTorch's names
        """What BoTorch's acquisition functions ask for, of candidates `(m, 1, d)`."""
        mean, variance = (each.view(-1, 1, 1) for each in self.mean_and_variance(X.squeeze(-2)))
        return TorchPosterior(Normal(mean, variance.clamp_min(1e-12).sqrt()))


def inputs(features: NDArray[np.floating]) -> Tensor:
    """Features `(m, d)` as the priors expect them, spread like points in the unit cube.

    The variance of features is 1 on average, that of a coordinate in the cube 1/12. To fit every feature into a cube of
    its own range would undo what the embedding says of their weights.
    """
    return torch.tensor(features, dtype=torch.double) / math.sqrt(12)


def fit(x: Tensor, y: Tensor, steps: int) -> SingleTaskGP:
    """A model of points `(m, d)` and standardised values `(m,)` with the hyperparameters of the highest posterior."""
    kernel = get_covar_module_with_dim_scaled_prior(x.shape[-1], use_rbf_kernel=False)
    model = SingleTaskGP(x, y.unsqueeze(-1), covar_module=kernel, outcome_transform=None)
    likelihood = ExactMarginalLogLikelihood(model.likelihood, model)
    with suppress(ModelFittingError):  # after five attempts; it leaves the modes of the priors, which will do
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"maxiter": steps}})
    return model.requires_grad_(False)


def fit_size(n: int) -> int:
    """The largest m up to `n` of 1, 2, ..., 19, 20, 22, 24, ...: the next is always a tenth more, rounded down."""
    m = 1
    while (larger := max(m + 1, m * 11 // 10)) <= n:
        m = larger
    return m


def standardised(y: Tensor) -> Tensor:
    """Values with mean 0 and variance 1; about 0 if they are all equal."""
    centred = y - y.mean()
    return centred / centred.square().mean().sqrt().clamp_min(1e-9)


@contextmanager
def exact(seed: int) -> Iterator[None]:
    """Seeds torch and keeps it to one thread and exact algebra inside the block; restores everything afterwards.

    Exact because GPyTorch turns to approximations, some of them random, beyond 800 points.
    """
    with reproducible(seed), max_cholesky_size(2**31), warnings.catch_warnings():
        # Of a fit that is tried again, and of a matrix that was given jitter: both come with their remedy.
        warnings.simplefilter("ignore", OptimizationWarning)
        warnings.simplefilter("ignore", NumericalWarning)
        yield
