import numpy as np
import pytest

from flexnas_bench import load_space
from flexnas_bench.surrogate import Trained
from flexnas_bench.surrogate.validation import (
    Guess,
    cross_validate,
    forest,
    learning_curve,
    leave_strata_out,
    surrogate,
)


def size(card):
    return np.log(card.parameters)


@pytest.fixture(scope="module")
def trained():
    """Cards whose score follows from their size, one in five trained twice, one in ten failed once."""
    cards = load_space("pool").sample(150, seed=0)
    return [
        Trained(card, (60 + size(card),) * (2 if i % 5 == 0 else 1), (20.0,) * (i % 10 == 0))
        for i, card in enumerate(cards)
    ]


class Spy:
    """Remembers what it was fitted to and asked."""

    def __init__(self):
        self.fits = []

    def __call__(self, known, new, space):
        self.fits.append(({t.card for t in known}, list(new)))
        return Guess(np.array([size(card) for card in new]))


def linear(known, new, space):
    """A model that processes can import."""
    return Guess(np.array([size(card) for card in new]))


def check(spy, trained, held):
    """No card on both sides, and every row that of its card."""
    for known, new in spy.fits:
        assert not known & set(new)
    np.testing.assert_allclose(held.mean, [size(trained[i].card) for i in held.cards])
    readings = [(*t.scores, *t.failed_scores) for t in trained]
    assert sorted(zip(held.cards.tolist(), held.readings.tolist(), strict=True)) == sorted(
        (i, score) for i in set(held.cards.tolist()) for score in readings[i]
    )


def test_a_card_never_sits_on_both_sides_of_a_fold_and_all_of_them_are_predicted_once(trained):
    spy = Spy()
    repeats = cross_validate(trained, spy, folds=7, repeats=2)
    assert len(spy.fits) == 14
    assert spy.fits[0][1] != spy.fits[7][1]
    for held in repeats:
        check(spy, trained, held)
        assert len(held.cards) == sum(t.trainings for t in trained)
    for start in (0, 7):
        asked = [card for _, new in spy.fits[start : start + 7] for card in new]
        assert len(asked) == len(set(asked)) == len(trained)


def test_strata_are_left_out_whole(trained):
    spy = Spy()
    found = leave_strata_out(trained, spy)
    assert set(found) == {"l=2", "l=4", "h=128", "h=256", "DSC"}  # without SA or LT fewer than 50 cards are left
    for (known, new), (name, held) in zip(spy.fits, found.items(), strict=True):
        check(spy, trained, held)
        if name == "l=4":
            assert {card.num_layers for card in known} == {2}
            assert {card.num_layers for card in new} == {4}
        if name == "DSC":
            assert not any(layer.operation == "DSC" for card in known for layer in card.layers)
            assert all(any(layer.operation == "DSC" for layer in card.layers) for card in new)


def test_the_learning_curve_is_fitted_to_so_many(trained):
    spy = Spy()
    found = learning_curve(trained, [60, 100], spy, repeats=2)
    assert [len(known) for known, _ in spy.fits] == [60, 60, 100, 100]
    assert [len(rows) for rows in found.values()] == [2, 2]
    for held in found[100]:
        check(spy, trained, held)


def test_processes_find_the_same(trained):
    here, there = (cross_validate(trained, linear, folds=3, repeats=1, jobs=jobs)[0] for jobs in (None, 2))
    np.testing.assert_array_equal(here.mean, there.mean)
    np.testing.assert_array_equal(here.cards, there.cards)


def test_the_peer_and_the_surrogate_learn(trained):
    known, new = trained[:110], [t.card for t in trained[110:]]
    truth = np.array([60 + size(card) for card in new])
    space = load_space("g3")
    found = surrogate(known, new, space)
    fine = found.distribution.mean
    assert np.abs(fine - truth).mean() < 0.05
    assert (found.mean < fine).all()  # one in ten fails
    guessed, never = forest(known, new, space), forest([Trained(t.card, t.scores) for t in known], new, space)
    assert np.corrcoef(guessed.mean, truth)[0, 1] > 0.9
    assert np.mean(never.mean - guessed.mean) == pytest.approx(np.mean(fine - found.mean), rel=0.1)


def test_a_space_of_ones_own_is_that_of_all_cards_and_not_of_a_fold():
    space = load_space("docs/tiny_to_large.toml")
    cards = [card for card in space.sample(3_000, seed=0) if card.num_layers > 2][:90]
    trained = [Trained(card, (60 + size(card),)) for card in cards]
    found = cross_validate(trained, surrogate, folds=3, repeats=1)[0]
    assert np.corrcoef(found.mean, found.readings)[0, 1] > 0.8
    leave_strata_out(trained, surrogate)
