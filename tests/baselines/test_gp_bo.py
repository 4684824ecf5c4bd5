import math

import numpy as np
import pytest
import torch
from flexnas_baselines import gp_bo
from flexnas_baselines.gp_bo import GPBO, fit_size, inputs, standardised
from scipy.spatial.distance import pdist
from scipy.stats import lognorm, multivariate_normal, norm

from flexnas_bench import DesignSpace, OptionError, load_embedding, load_space, make_optimizer


def value(card):
    return card.parameters / 1e6 + 3 * (card.layers[0].operation == "SA")


def matern(a, b, lengths):
    r = math.sqrt(5) * np.linalg.norm((a[:, None] - b) / lengths, axis=-1)
    return (1 + r + r**2 / 3) * np.exp(-r)


def numbers(process):
    """Length scales, noise and mean as numpy has them."""
    return (each.numpy() for each in (process.kernel.lengthscale, process.noise, process.constant))


def by_hand(process, x):
    """Mean and variance of candidates by the textbook's inverse matrix."""
    lengths, noise, constant = numbers(process)
    points, values = process.x.numpy(), process.y.numpy()
    inverse = np.linalg.inv(matern(points, points, lengths) + noise * np.eye(len(points)))
    across = matern(x, points, lengths)
    return constant + across @ inverse @ (values - constant), 1 - np.einsum("ij,jk,ik->i", across, inverse, across)


def by_batches(process, x):
    """The same by BoTorch's own posterior."""
    model = gp_bo.SingleTaskGP(process.x, process.y[:, None], covar_module=process.kernel, outcome_transform=None)
    model.mean_module.constant = process.constant.data
    model.likelihood.noise = process.noise.data
    with torch.no_grad():
        posterior = model.posterior(x)
    return posterior.mean.squeeze(-1), posterior.variance.squeeze(-1)


def told(space, n, seed=3, **options):
    optimizer = make_optimizer(GPBO, space, seed=seed, initial=n, **options)
    cards = optimizer.ask(n)
    optimizer.tell(cards, [value(card) for card in cards])
    return optimizer


@pytest.fixture(scope="module")
def optimizer(pool):
    return told(pool, 25)


@pytest.fixture(scope="module")
def process(optimizer):
    return optimizer.process()


@pytest.fixture(scope="module")
def candidates(optimizer):
    return inputs(optimizer.embedding.features)


def test_mean_and_variance_are_those_of_the_textbook(process, candidates):
    mean, variance = process.mean_and_variance(candidates)
    for found, expected in zip((mean, variance), by_hand(process, candidates.numpy()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert variance.min() > 0
    assert np.corrcoef(mean, [value(card) for card in load_space("pool")])[0, 1] > 0.8


def test_mean_and_variance_are_those_of_botorch(process, candidates):
    for found, expected in zip(process.mean_and_variance(candidates), by_batches(process, candidates), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_values_are_standardised(process):
    assert process.y.mean().abs() < 1e-12
    assert process.y.std(correction=0) == pytest.approx(1)
    assert standardised(torch.tensor([70.1] * 6, dtype=torch.double)).abs().max() < 1e-4  # whose mean is rounded
    assert standardised(torch.tensor([70.1], dtype=torch.double)) == 0


@pytest.mark.parametrize("embedding", ["one-hot", "stretched"])
def test_inputs_are_spread_like_points_in_the_unit_cube(pool, embedding):
    points = inputs(load_embedding(embedding, pool).features)
    assert points.var(dim=0).mean() == pytest.approx(1 / 12, rel=0.01)
    assert points.dtype == torch.double


def test_hyperparameters_are_the_most_probable(pool):
    """No step away from them makes values and hyperparameters together more probable under the priors."""
    process = told(pool, 24, fit_steps=1_000).process()
    points, values = process.x.numpy(), process.y.numpy()
    dim = points.shape[1]

    def log_posterior(lengths, noise, constant):
        covariance = matern(points, points, lengths) + noise * np.eye(len(points))
        likelihood = multivariate_normal(np.full(len(points), constant), covariance).logpdf(values)
        shape = {"s": math.sqrt(3), "scale": math.exp(math.sqrt(2) + math.log(dim) / 2)}
        return likelihood + lognorm.logpdf(lengths, **shape).sum() + lognorm.logpdf(noise, 1, scale=math.exp(-4)).sum()

    lengths, noise, constant = numbers(process)
    best = log_posterior(lengths, noise, constant)
    for factor in (0.9, 1.1):
        assert log_posterior(lengths, noise, constant + factor - 1) < best
        assert log_posterior(lengths, noise * factor, constant) < best
        assert log_posterior(lengths * factor, noise, constant) < best - 0.1
        for j in range(dim):
            assert log_posterior(lengths * np.where(np.arange(dim) == j, factor, 1), noise, constant) < best
    rng = np.random.default_rng(1)
    for _ in range(50):
        assert log_posterior(lengths * rng.lognormal(0, 0.3, dim), noise, constant) < best - 0.1


def test_the_score_is_the_logarithm_of_the_expected_improvement(optimizer, process):
    features = optimizer.embedding.features
    scores = optimizer.score(process)(features)
    mean, variance = by_hand(process, inputs(features).numpy())
    exceeded = by_hand(process, process.x.numpy())[0].max()
    u = (mean - exceeded) / np.sqrt(variance)
    plain = u > -6  # beyond, the closed form cancels
    expected = np.log((np.sqrt(variance) * (u * norm.cdf(u) + norm.pdf(u)))[plain])
    np.testing.assert_allclose(scores[plain], expected, rtol=1e-5, atol=1e-6)
    assert (np.argsort(scores[plain]) == np.argsort(expected)).all()
    assert plain.sum() > 100


def test_it_proposes_the_unseen_card_of_the_highest_score(pool):
    optimizer = told(pool, 25)
    scores = optimizer.score(optimizer.process())(optimizer.embedding.features)
    scores[optimizer.indices] = -np.inf
    assert optimizer.ask() == [pool[int(scores.argmax())]]


def test_pending_cards_are_believed_to_be_what_is_expected(pool, candidates):
    optimizer = told(pool, 25)
    before = optimizer.process()
    mean, variance = before.mean_and_variance(candidates)
    score = optimizer.score(before)(optimizer.embedding.features)
    pending = pool.index(optimizer.ask()[0])
    after = optimizer.process()
    believed, less = after.mean_and_variance(candidates)
    lower = optimizer.score(after)(optimizer.embedding.features)
    torch.testing.assert_close(believed, mean)
    assert less[pending] < 0.1 * variance[pending]
    assert (less <= variance + 1e-12).all()
    near = np.argsort(np.linalg.norm(candidates - candidates[pending], axis=1))[:10]
    assert (lower[near] < score[near]).all()
    assert lower[pending] < score[pending] - 1


def test_a_batch_is_spread_out():
    """Cards asked at once are farther from each other than those of the highest scores."""
    optimizer = told(load_space("g1"), 25)
    highest = optimizer.highest_unseen(optimizer.score(optimizer.process()), 6, np.random.default_rng(0))
    batch = [optimizer.space.index(card) for card in optimizer.ask(6)]
    features = optimizer.embedding.features
    assert batch[0] == highest[0]
    assert pdist(features[batch]).mean() > pdist(features[highest]).mean()


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_it_finds_the_top_of_a_smooth_landscape(seed):
    """Where the best of 30 random cards has some three hundred above it."""
    space = load_space("g1")
    optimizer = make_optimizer(GPBO, space, seed=seed, embedding="stretched")
    features = optimizer.embedding.features
    truth = features @ np.linspace(1, 2, features.shape[1])
    for _ in range(30):
        (card,) = optimizer.ask()
        optimizer.tell([card], [float(truth[space.index(card)])])
    assert (truth > max(optimizer.values)).sum() <= 3


def test_what_it_proposes_follows_from_what_was_told(pool):
    """Whether a history was told at once or bit by bit, and whatever the caller did to torch."""
    first, again = (make_optimizer(GPBO, pool, seed=5, initial=20) for _ in range(2))
    cards = []
    for _ in range(25):  # hyperparameters are those of 24
        cards += first.ask()
        first.tell(cards[-1:], [value(cards[-1])])
    torch.manual_seed(8)
    again.tell(cards, [value(card) for card in cards])
    assert again.ask(2) == first.ask(2)
    assert (again.process().kernel.lengthscale == first.process().kernel.lengthscale).all()


def test_it_leaves_torch_as_it_was(pool):
    optimizer = told(pool, 5)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(threads + 1)
    try:
        optimizer.ask()
        assert torch.get_num_threads() == threads + 1
        assert (torch.get_rng_state() == state).all()
    finally:
        torch.set_num_threads(threads)


def test_failed_evaluations_are_passed_over(pool):
    plain, with_failures = told(pool, 12), told(pool, 12)
    failed = with_failures.ask(2)
    with_failures.tell(failed, [math.nan, math.nan])
    torch.testing.assert_close(with_failures.process().x, plain.process().x)
    torch.testing.assert_close(with_failures.process().y, plain.process().y)
    assert not set(with_failures.ask(3)) & set(failed)


def test_it_draws_as_long_as_nothing_succeeded(pool):
    optimizer = make_optimizer(GPBO, pool, initial=2)
    optimizer.tell(optimizer.ask(2), [math.nan, math.nan])
    assert len(set(optimizer.ask(3))) == 3


def test_one_value_and_equal_values_will_do(pool):
    optimizer = make_optimizer(GPBO, pool, initial=1)
    for _ in range(4):
        optimizer.tell(optimizer.ask(), [70.1])
        assert optimizer.process().y.abs().max() < 1e-4
    assert len(set(optimizer.indices)) == 4


@pytest.mark.parametrize("embedding", ["one-hot", "stretched", "t2v-g1-d16"])
def test_two_cards_are_a_space(embedding):
    cards = load_space("g1").sample(2, seed=1)
    optimizer = make_optimizer(GPBO, DesignSpace.from_cards("two", cards), initial=1, embedding=embedding)
    optimizer.tell(optimizer.ask(), [60.0])
    optimizer.tell(optimizer.ask(), [50.0])
    assert len(set(optimizer.indices)) == 2


def test_it_climbs_in_the_largest_space():
    optimizer = told(load_space("g3"), 10)
    for _ in range(3):
        cards = optimizer.ask(2)
        optimizer.tell(cards, [value(card) for card in cards])
    random = [value(card) for card in optimizer.space.sample(1_000, seed=9)]
    assert np.mean(optimizer.values[-4:]) > np.quantile(random, 0.9)


def test_where_no_fit_succeeds_the_priors_do(pool, monkeypatch):
    def fail(*args, **kwargs):
        raise gp_bo.ModelFittingError

    optimizer = told(pool, 12)
    monkeypatch.setattr(gp_bo, "fit_gpytorch_mll", fail)
    lengths, _, _ = numbers(optimizer.process())
    np.testing.assert_allclose(lengths, math.exp(math.sqrt(2) + math.log(lengths.size) / 2 - 3))
    assert optimizer.ask()


def test_hyperparameters_are_learned_from_ever_more_values():
    assert [fit_size(n) for n in (1, 2, 19, 20, 21, 22, 23, 24, 1_000)] == [1, 2, 19, 20, 20, 22, 22, 24, 972]
    assert all(fit_size(fit_size(n)) == fit_size(n) > n / 1.1 - 1 for n in range(1, 2_000))


def test_a_fit_takes_a_step_or_more(pool):
    with pytest.raises(OptionError, match="fit_steps"):
        make_optimizer(GPBO, pool, fit_steps=0)
