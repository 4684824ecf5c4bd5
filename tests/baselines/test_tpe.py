import math
import warnings

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from baselines.ask_tell import AskTell
from baselines.random_search import RandomSearch
from baselines.tpe import TPE
from flexnas_bench import DesignSpace, OptionError, load_space, make_optimizer


class Repeater(AskTell):
    """A sampler of few lines: the best options so far, with one decision drawn anew."""

    def __init__(self, space, **common):
        super().__init__(space, **common)
        self.heard, self.suggested, self.best = [], [], (None, -math.inf)

    def suggest(self, rng):
        options = self.space.decisions.options
        drawn = {name: choices[rng.integers(len(choices))] for name, choices in options.items()}
        values = {**drawn, **self.best[0]}
        changed = list(values)[rng.integers(len(values))]
        values[changed] = drawn[changed]
        self.suggested.append(values)
        return values

    def learn(self, values, score):
        self.heard.append((values, score))
        if score is not None and score > self.best[1]:
            self.best = values, score


def planted(space, seed):
    """The number of decisions that a card shares with one drawn."""
    target = space.decisions.of(space[space.sample_index(np.random.default_rng(10_000 + seed))])
    return lambda card: sum(target.get(name) == value for name, value in space.decisions.of(card).items())


def play(optimizer, value, steps, n=1):
    for _ in range(steps):
        cards = optimizer.ask(n)
        optimizer.tell(cards, [value(card) for card in cards])
    return optimizer.values


def trials(optimizer, *states):
    return optimizer.study.get_trials(deepcopy=False, states=states)


def test_any_sampler_can_be_served():
    space = load_space("g1")
    value = planted(space, 2)
    optimizer = make_optimizer(Repeater, space, seed=1, initial=5)
    values = play(optimizer, value, 60)
    assert [score for _, score in optimizer.heard] == values
    assert [options for options, _ in optimizer.heard] == [space.decisions.of(space[i]) for i in optimizer.indices]
    assert np.mean(values[40:]) > np.mean(values[:5]) + 2
    assert len(set(optimizer.indices)) == 60


def test_a_suggestion_is_taken_as_it_is_unless_it_was_seen():
    space = load_space("homogeneous")
    optimizer = make_optimizer(Repeater, space, seed=3, initial=1)
    play(optimizer, lambda card: card.parameters, 30)
    repeated = 0
    for i, values in enumerate(optimizer.suggested, start=1):
        suggested, chosen = space.decisions.card(values), space[optimizer.indices[i]]
        if space.index(suggested) in optimizer.indices[:i]:
            repeated += 1
            assert chosen != suggested
        else:
            assert chosen == suggested
    assert 0 < repeated < 30


def test_a_sampler_hears_of_failures_and_of_what_is_running(pool):
    optimizer = make_optimizer(Repeater, pool, initial=3)
    cards = optimizer.ask(3)
    optimizer.tell(cards[1:], [math.nan, 70.0])
    assert [score for _, score in optimizer.heard] == [None, 70.0]
    more = optimizer.ask(2)
    assert optimizer.running == [pool.decisions.of(card) for card in (cards[0], *more)]


def test_it_finds_a_planted_card_much_sooner_than_random_search():
    space = load_space("g1")
    best = {
        kind: [max(play(make_optimizer(kind, space, seed=s), planted(space, s), 150)) for s in range(2)]
        for kind in (TPE, RandomSearch)
    }
    assert np.mean(best[TPE]) > np.mean(best[RandomSearch]) + 1
    assert 7 in best[TPE]  # the card itself, of 9,312


@pytest.mark.parametrize("behind", [0, 3])
def test_its_suggestions_are_those_of_a_plain_study(behind):
    space = load_space("g1")
    optimizer = make_optimizer(TPE, space, seed=7)
    value = planted(space, 4)
    compared = 0
    asked = optimizer.ask(optimizer.initial_size)
    for step in range(len(asked), 40):
        while len(asked) > behind:
            card = asked.pop(0)
            optimizer.tell([card], [value(card)])
        params = plain_suggestion(space, optimizer, np.random.default_rng([7, step]))
        suggested = space.decisions.card({name: space.decisions.options[name][i] for name, i in params.items()})
        fresh = space.index(suggested) not in optimizer.seen
        asked += optimizer.ask()
        if fresh:
            assert asked[-1] == suggested
            compared += 1
    assert compared > 15


def plain_suggestion(space, optimizer, rng):
    """Options, by position, of a study made from nothing but what was told and asked, in Optuna's own words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # options that Optuna calls experimental
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=0, multivariate=True, group=True, constant_liar=True, seed=int(rng.integers(2**32))
        )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    options = space.decisions.options
    for index, value in [
        *zip(optimizer.indices, optimizer.values, strict=True),
        *((i, None) for i in optimizer.pending),
    ]:
        params = {name: options[name].index(one) for name, one in space.decisions.of(space[index]).items()}
        distributions = {
            name: optuna.distributions.CategoricalDistribution(range(len(options[name]))) for name in params
        }
        state = TrialState.RUNNING if value is None else TrialState.COMPLETE
        trial = optuna.create_trial(state=state, params=params, distributions=distributions, value=value)
        study.add_trial(trial)
    trial = study.ask()
    layers = options["layers"][trial.suggest_categorical("layers", range(len(options["layers"])))]
    for name in space.decisions.names(layers)[1:]:
        trial.suggest_categorical(name, range(len(options[name])))
    return trial.params


def test_a_shallow_card_is_a_trial_without_later_stacks(pool):
    optimizer = make_optimizer(TPE, pool, seed=1)
    play(optimizer, lambda card: -card.parameters, 20)
    told = trials(optimizer, TrialState.COMPLETE)
    assert [trial.value for trial in told] == optimizer.values
    assert {len(trial.params) for trial in told} == {7, 13}
    for trial, index in zip(told, optimizer.indices, strict=True):
        assert list(trial.params) == pool.decisions.names(pool[index].num_layers)


def test_cards_being_evaluated_are_running_trials(pool):
    options = pool.decisions.options

    def params(cards):
        decisions = [pool.decisions.of(card).items() for card in cards]
        return [{name: options[name].index(value) for name, value in values} for values in decisions]

    optimizer = make_optimizer(TPE, pool, seed=1, initial=12)
    cards = optimizer.ask(12)
    optimizer.tell(cards[2:], [card.parameters for card in cards[2:]])
    waiting = [*cards[:2], *optimizer.ask(3)]
    assert [trial.params for trial in trials(optimizer, TrialState.RUNNING)] == params(waiting[:4])  # seen by the fifth
    optimizer.tell(waiting[1:3], [3.0, 4.0])
    waiting = [waiting[0], *waiting[3:]]
    optimizer.ask()
    assert [trial.params for trial in trials(optimizer, TrialState.RUNNING)] == params(waiting)
    assert [trial.params for trial in trials(optimizer, TrialState.COMPLETE)] == params(
        pool[i] for i in optimizer.indices
    )


def test_what_was_asked_and_forgotten_leaves_no_trace():
    space = load_space("g1")
    optimizer = make_optimizer(TPE, space, seed=6)
    value = planted(space, 6)
    play(optimizer, value, 5, n=4)
    again = make_optimizer(TPE, space, seed=6)
    again.tell([space[i] for i in optimizer.indices], optimizer.values)
    assert again.ask(5) == optimizer.ask(5)


def test_failures_are_no_values(pool):
    optimizer = make_optimizer(TPE, pool, seed=2, initial=0)
    cards = pool.sample(8, seed=2)
    optimizer.tell(cards[:4], [math.nan] * 4)
    assert len(set(optimizer.ask(3))) == 3
    optimizer.tell(cards[4:], [1.0, math.nan, 1.0, 1.0])
    assert len(trials(optimizer, TrialState.COMPLETE)) == 3
    assert len(trials(optimizer, TrialState.FAIL)) >= 5
    assert len(set(optimizer.ask(6))) == 6


def test_two_cards_are_enough():
    space = DesignSpace.from_cards("two", load_space("g1").sample(2, seed=3))
    optimizer = make_optimizer(TPE, space, initial=1)
    play(optimizer, lambda card: card.parameters, 2)
    assert sorted(optimizer.indices) == [0, 1]


@pytest.mark.parametrize("name", ["pool", "g3"])
def test_it_finds_more_parameters_than_it_began_with(name):
    values = play(make_optimizer(TPE, name, seed=2), lambda card: card.parameters, 50)
    assert np.mean(values[30:]) > 1.15 * np.mean(values[:10])


def test_optuna_stays_as_the_user_set_it(pool, capfd):
    before = optuna.logging.get_verbosity()
    play(make_optimizer(TPE, pool, initial=2), lambda card: card.parameters, 4)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_options_that_make_no_sense(pool):
    with pytest.raises(OptionError):
        make_optimizer(TPE, pool, n_ei_candidates=0)
