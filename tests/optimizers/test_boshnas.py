import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from flexnas_bench import OptionError, make_optimizer
from flexnas_bench.optimizers.boshnas.surrogate import Surrogate, SurrogateSettings
from flexnas_bench.predictors.plain import PlainNetwork
from flexnas_bench.predictors.seeding import reproducible


@pytest.fixture(scope="module")
def told(pool, bench):
    """BOSHNAS after forty random cards with their real scores."""
    optimizer = make_optimizer("boshnas", pool, seed=3, initial=40)
    cards = optimizer.ask(40)
    optimizer.tell(cards, [bench.query(card).value for card in cards])
    return optimizer


@pytest.fixture(scope="module")
def surrogate(told):
    with reproducible(11):
        return told.fit()


def test_the_surrogate_ranks_cards_it_has_not_seen(told, surrogate, pool, bench):
    free = told.unseen()
    truth = [bench.query(pool[int(i)]).value for i in free]
    mean, sigma = surrogate.npn(told.candidates[free])
    assert kendalltau(mean, truth).statistic > 0.5
    assert (sigma > 0).all()


def test_the_bound_is_equation_1(told, surrogate):
    x = told.candidates[:20]
    mean, sigma = surrogate.npn(x)
    torch.testing.assert_close(surrogate.ucb(x, 0.3, 0.7), mean + 0.3 * sigma + 0.7 * surrogate.student(x))
    torch.testing.assert_close(surrogate.uncertainty(x, 0.3, 0.7), 0.3 * sigma + 0.7 * surrogate.student(x))


def test_weight_decay_leaves_the_variances_alone(told):
    # Were they decayed before the softplus, the noise of every fit would be driven up towards ln 2.
    x, y = told.candidates[told.indices], torch.tensor(told.values)
    sigma = []
    for decay in (0.0, 10.0):
        with reproducible(1):
            settings = SurrogateSettings(npn_steps=40, teacher_steps=1, student_steps=1, weight_decay=decay)
            fitted = Surrogate(x, y, told.candidates, settings)
        sigma.append(fitted.npn.layers[0].weight_variance.mean())
    assert sigma[1] < 3 * sigma[0]


@pytest.mark.parametrize("seed", range(4))
def test_the_student_follows_the_teachers_spread(told, seed):
    with reproducible(seed):
        surrogate = told.fit()
        spread = surrogate.teacher.spread(told.candidates, 400)
    learned = surrogate.student(told.candidates)
    assert kendalltau(learned, spread).statistic > 0.6
    assert (learned - spread).abs().mean() < 0.25 * spread.mean()


def test_gobi_climbs_the_bound(told, surrogate):
    climbed = []
    for seed in range(5):
        with reproducible(seed):
            starts = told.candidates[torch.randint(len(told.candidates), (told.restarts,))]
        with reproducible(seed):
            reached = told.gobi(surrogate, told.k1)
        before, after = surrogate.ucb(starts, told.k1, told.k2), surrogate.ucb(reached, told.k1, told.k2)
        climbed.append(after - before)
        assert after.max() > surrogate.ucb(told.candidates, told.k1, told.k2).max()  # beyond any single card
    assert (torch.cat(climbed) > 0).double().mean() > 0.95


def test_a_proposal_is_the_unseen_card_nearest_to_a_climbed_point(told, surrogate):
    free = told.unseen()
    with reproducible(1):
        reached = told.gobi(surrogate, told.k1)
    expected = {
        int(free[np.linalg.norm(told.candidates[free].numpy() - point.numpy(), axis=1).argmin()]) for point in reached
    }
    assert set(told._decode(reached, np.random.default_rng(0))) == expected


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_the_two_probabilities_choose_how_a_card_is_found(pool, bench, alpha, beta):
    optimizer = make_optimizer("boshnas", pool, seed=1, initial=12, alpha=alpha, beta=beta)
    cards = optimizer.ask(12)
    optimizer.tell(cards, [bench.query(card).value for card in cards])
    free = optimizer.unseen()
    rng = np.random.default_rng([1, 12])  # as the thirteenth card is drawn
    rng.random()
    if beta:
        expected = optimizer.draw_unseen(1, rng)[0]
    else:
        with reproducible(int(rng.integers(2**63))):
            surrogate = optimizer.fit()
            if alpha:
                expected = free[int(surrogate.uncertainty(optimizer.candidates[free], 0.0, 0.5).argmax())]
            else:
                near = optimizer._decode(optimizer.gobi(surrogate, 0.0), rng)
                expected = near[int(surrogate.ucb(optimizer.candidates[near], 0.0, 0.5).argmax())]
    assert optimizer.ask() == [pool[int(expected)]]


def test_sigma_counts_once_the_search_has_stalled(pool):
    optimizer, always = (make_optimizer("boshnas", pool, initial=3, k1=0.7, aleatoric_after=n) for n in (3, 0))
    weights = []
    for card, value in zip(pool.sample(9, seed=0), (1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 4.0, 2.0, 9.0), strict=True):
        optimizer.tell([card], [value])
        weights.append(optimizer._k1())
    assert weights[3:] == [0.0, 0.0, 0.0, 0.7, 0.7, 0.0]  # three iterations in which 4 was not exceeded
    assert always._k1() == 0.7


def again(told, **options):
    """Another optimizer that was told the same."""
    optimizer = make_optimizer("boshnas", told.space, seed=3, initial=0, alpha=0.0, beta=0.0, **options)
    optimizer.tell([told.space[i] for i in told.indices], told.values)
    return optimizer


def test_without_heteroscedasticity_there_is_no_sigma(told):
    with reproducible(1):
        plain = again(told, heteroscedastic=False).fit()
    mean, sigma = plain.npn(told.candidates)
    assert isinstance(plain.npn, PlainNetwork)
    assert not sigma.any()
    torch.testing.assert_close(plain.ucb(told.candidates, 5.0, 0.0), mean)


def test_gobi_without_second_order_takes_other_steps(told, surrogate):
    reached = []
    for second_order in (True, False):
        with reproducible(2):
            reached.append(again(told, second_order=second_order).gobi(surrogate, 0.5))
    assert (reached[0] - reached[1]).abs().max() > 0.01


def test_without_gobi_the_unseen_card_of_the_highest_bound_is_proposed(told):
    optimizer = again(told, restarts=0, aleatoric_after=0)
    rng = np.random.default_rng([3, len(told.indices)])  # as the next card is drawn
    rng.random()
    with reproducible(int(rng.integers(2**63))):
        bounds = optimizer.fit().ucb(optimizer.candidates, 0.5, 0.5)
    free = optimizer.unseen()
    assert optimizer.ask() == [told.space[int(free[bounds[free].argmax()])]]


def test_pending_cards_are_fitted_at_what_the_first_fit_predicts(told, monkeypatch):
    optimizer, fits = again(told), []

    def remember(x, y, *rest, **more):
        fits.append((x, y, Surrogate(x, y, *rest, **more)))
        return fits[-1][2]

    ahead = [told.space.index(card) for card in optimizer.ask(2)]
    monkeypatch.setattr("flexnas_bench.optimizers.boshnas.boshnas.Surrogate", remember)
    with reproducible(1):
        last = optimizer.fit()
    (x1, y1, first), (x2, y2, second) = fits
    assert last is second
    torch.testing.assert_close(x2, torch.cat([x1, told.candidates[ahead]]))
    torch.testing.assert_close(y2, torch.cat([y1, first.mean(told.candidates[ahead])]))


def test_it_climbs_a_planted_landscape(pool):
    # Smooth and real: the number of parameters. Random proposals would be at rank 245 in the median.
    values = np.array([card.parameters for card in pool]) / 1e6
    rank = np.argsort(np.argsort(-values))
    optimizer = make_optimizer("boshnas", pool, seed=0)
    for _ in range(22):
        (card,) = optimizer.ask()
        optimizer.tell([card], [values[pool.index(card)]])
    assert np.median([rank[i] for i in optimizer.indices[optimizer.initial_size :]]) < 100


def test_options_that_make_no_sense(pool):
    for options in ({"alpha": 0.8, "beta": 0.3}, {"alpha": -0.1}, {"restarts": -1}, {"gobi_rate": 0.0}):
        with pytest.raises(OptionError):
            make_optimizer("boshnas", pool, **options)
