"""How long a step of BOSHNAS takes on one core, beside fitting a Gaussian process with scikit-learn.

    python benchmarks/step_time.py

A step is the refit of NPN, teacher and student and GOBI with ten restarts. The peer is one fit of scikit-learn's
GaussianProcessRegressor (Matern 5/2, a length scale a feature, noise, one start) on the same points, and the upper
confidence bound of all candidates: what one would reach for otherwise.
"""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits
from timing import median_seconds

from flexnas_bench import load_benchmark, load_space
from flexnas_bench.optimizers.boshnas import Boshnas
from flexnas_bench.predictors.seeding import reproducible


def measure(points: int) -> tuple[float, float, float]:
    """Seconds of fit, GOBI and the peer with so many evaluated cards."""
    bench, space = load_benchmark(), load_space("pool")
    optimizer = Boshnas(space, initial=points)
    cards = optimizer.ask(points)
    optimizer.tell(cards, [bench.query(card).value for card in cards])
    x = optimizer.candidates[optimizer.indices].numpy().astype(np.float64)
    y = np.array(optimizer.values)
    kernel = ConstantKernel() * Matern(np.full(x.shape[1], 10.0), nu=2.5) + WhiteKernel(0.1)

    def peer() -> None:
        process = GaussianProcessRegressor(kernel, normalize_y=True).fit(x, y)
        mean, deviation = process.predict(optimizer.candidates.numpy(), return_std=True)
        (mean + 0.5 * deviation).argmax()

    with reproducible(0):
        surrogate = optimizer.fit()
        fit = median_seconds(optimizer.fit)
        gobi = median_seconds(lambda: optimizer.gobi(surrogate, optimizer.k1))
    with threadpool_limits(1):
        return fit, gobi, median_seconds(peer)


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # length scales of idle features run to their bounds
    torch.set_num_threads(1)
    print("| points | fit (s) | GOBI (s) | step (s) | scikit-learn GP (s) | step / GP |")
    print("|---:|---:|---:|---:|---:|---:|")
    for points in (10, 30, 60):
        fit, gobi, peer = measure(points)
        step = fit + gobi
        print(f"| {points} | {fit:.3f} | {gobi:.3f} | {step:.3f} | {peer:.3f} | {step / peer:.2f} |")


if __name__ == "__main__":
    main()
