"""A landscape with one summit: how many decisions a card has in common with a planted one."""

import numpy as np

from flexnas_bench import load_space, make_optimizer


def agreement(space, seed):
    """The planted card of a space, and the number of decisions that a card shares with it."""
    (top,) = space.sample(1, seed=seed)
    wanted = space.decisions.of(top)

    def score(card):
        return float(sum(wanted.get(name) == option for name, option in space.decisions.of(card).items()))

    return top, score


def search_planted(kind, space, steps, seed, **options):
    """The values found, in order, by an optimizer on a planted landscape, and the value of the summit."""
    top, score = agreement(space, 100 + seed)
    optimizer = make_optimizer(kind, space, seed=seed, **options)
    while len(optimizer.values) < steps:
        cards = optimizer.ask()
        optimizer.tell(cards, [score(card) for card in cards])
    return np.array(optimizer.values), score(top)


def mean_best(kind, name, steps, seeds=8, **options):
    """What fraction of the summit is reached on average."""
    space = load_space(name)
    found = [search_planted(kind, space, steps, seed, **options) for seed in range(seeds)]
    return float(np.mean([values.max() / top for values, top in found]))
