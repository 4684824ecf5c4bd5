"""What every optimizer must do, whoever wrote it."""

import math
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from flexnas_bench import (
    DesignSpace,
    ModelCard,
    NotInSpaceError,
    Optimizer,
    OptionError,
    ProposalError,
    SpaceExhaustedError,
    load_space,
    make_optimizer,
    optimizer_names,
)
from flexnas_bench.named import PAPER12
from flexnas_bench.optimizers import registry
from flexnas_bench.space import Choices, ListSpace

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
NAMES = [*optimizer_names(), "tests.third_party.annealing:Annealing"]


def value(card):
    return card.parameters / 1e6 + 3 * (card.layers[0].operation == "SA")


def play(optimizer, steps, n=1):
    """Asks and tells; returns the cards in order."""
    cards = []
    for _ in range(steps):
        asked = optimizer.ask(n)
        optimizer.tell(asked, [value(card) for card in asked])
        cards += asked
    return cards


@pytest.fixture
def small():
    return ListSpace("small", load_space("g1").sample(14, seed=2), Choices())


def test_the_shipped_ones_are_installed():
    shipped = "bananas boshnas deep-wide evolution gp-bo local-search random reinforce tpe"
    assert set(shipped.split()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_no_card_twice_until_the_space_is_empty(name, small):
    optimizer = make_optimizer(name, small, seed=1, initial=9)
    assert set(play(optimizer, 14)) == set(small)
    with pytest.raises(SpaceExhaustedError):
        optimizer.ask()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_cards_and_another_does_not(name, pool):
    first, again, other = (play(make_optimizer(name, pool, seed=seed), 12) for seed in (4, 4, 5))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", NAMES)
def test_the_initial_cards_depend_on_the_seed_alone(name, pool):
    expected = make_optimizer("random", pool, seed=9, initial=6).ask(6)
    assert make_optimizer(name, pool, seed=9, initial=6).ask(6) == expected


@pytest.mark.parametrize("name", NAMES)
def test_telling_a_history_again_restores_the_state(name, pool):
    optimizer = make_optimizer(name, pool, seed=2)
    cards = play(optimizer, 12)
    restored = make_optimizer(name, pool, seed=2)
    restored.tell(cards, [value(card) for card in cards])
    assert play(restored, 2) == play(optimizer, 2)


@pytest.mark.parametrize("name", NAMES)
def test_telling_and_marking_what_is_pending_restores_the_state(name, pool):
    optimizer, restored = (make_optimizer(name, pool, seed=2, initial=8) for _ in range(2))
    cards = play(optimizer, 10)
    pending = optimizer.ask(3)
    restored.tell(cards, [value(card) for card in cards])
    restored.mark_pending(pending)
    assert restored.pending == optimizer.pending == [pool.index(card) for card in pending]
    assert restored.ask(2) == optimizer.ask(2)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_has_different_cards_none_of_them_pending(name, pool):
    optimizer = make_optimizer(name, pool, seed=3, initial=4)
    play(optimizer, 1, n=8)
    pending = optimizer.ask(4)
    more = optimizer.ask(4)
    assert len({*pending, *more, *(pool[i] for i in optimizer.indices)}) == 16
    optimizer.tell(more, [value(card) for card in more])  # in another order than asked
    optimizer.tell(pending, [value(card) for card in pending])
    assert len(optimizer.values) == 16


@pytest.mark.parametrize("name", NAMES)
def test_failed_evaluations_do_no_harm(name, pool):
    optimizer = make_optimizer(name, pool, seed=6, initial=4)
    for i in range(10):
        (card,) = optimizer.ask()
        optimizer.tell([card], [math.nan if i % 3 == 0 or i < 5 else value(card)])
    assert len(set(optimizer.indices)) == 10
    all_failed = make_optimizer(name, pool, seed=6, initial=2)
    for _ in range(3):
        all_failed.tell(all_failed.ask(), [math.nan])


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_space_there_is_anything_to_search_in(name):
    two = DesignSpace.from_cards("two", [ModelCard.named("bert-tiny"), ModelCard.named("bert-mini")])
    assert set(play(make_optimizer(name, two, initial=1), 2)) == set(two)


@pytest.mark.parametrize("name", NAMES)
def test_three_billion_cards(name):
    space = load_space("g3")
    optimizer = make_optimizer(name, space, seed=1, initial=6)
    cards = play(optimizer, 8) + play(optimizer, 1, n=2)
    assert len(set(cards)) == 10
    assert all(card in space for card in cards)


@pytest.mark.parametrize("embedding", ["t2v-g1-d16", pytest.param("best", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_any_embedding_will_do(name, embedding, pool):
    assert len(set(play(make_optimizer(name, pool, embedding=embedding, initial=6), 7))) == 7


@pytest.mark.parametrize("name", NAMES)
def test_equal_values_do_no_harm(name, pool):
    optimizer = make_optimizer(name, pool, seed=7, initial=1)
    for _ in range(4):
        optimizer.tell(optimizer.ask(), [70.0])
    assert len(set(optimizer.indices)) == 4


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_with_the_cards_it_was_given(name, pool):
    given = pool.sample(3, seed=8)
    optimizer = make_optimizer(name, pool, initial=[*given, given[0]])
    assert optimizer.ask(3) == given
    assert not set(optimizer.ask(2)) & set(given)


@pytest.mark.parametrize("name", NAMES)
def test_cards_never_asked_for_may_be_told(name, pool):
    known = pool.sample(12, seed=1)
    optimizer = make_optimizer(name, pool, initial=0)
    optimizer.tell(known, [value(card) for card in known])
    assert not set(optimizer.ask(3)) & set(known)


@pytest.mark.parametrize("name", NAMES)
def test_what_makes_no_sense_is_refused(name, pool):
    optimizer = make_optimizer(name, pool)
    with pytest.raises(OptionError):
        optimizer.ask(0)
    with pytest.raises(OptionError):
        optimizer.tell(pool.sample(2), [1.0])
    with pytest.raises(NotInSpaceError):
        optimizer.tell([ModelCard.named("flexibert-large")], [1.0])
    assert optimizer.values == []
    for options in ({"seed": -1}, {"initial": -1}, {"k7": 1}, {"embedding": "word2vec"}):
        with pytest.raises(OptionError):
            make_optimizer(name, pool, **options)


def test_none_loads_what_is_known():
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (known,) = (c["forbidden_modules"] for c in contracts if c["name"] == "Who proposes never sees what is known")
    assert "flexnas_bench.answers" in known
    program = (
        "import sys; from flexnas_bench import make_optimizer\n"
        f"for name in {NAMES}:\n"
        "    o = make_optimizer(name, 'pool', initial=3)\n"
        "    [o.tell(o.ask(), [float(i)]) for i in range(5)]\n"
        f"    assert not [m for m in sys.modules if m.startswith({tuple(known)!r})], name\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("chosen", [[], [3, 3], [0, 1, 2], [-1], [491], [7]])
def test_a_proposal_that_breaks_the_contract_is_refused(pool, chosen):
    class Broken(Optimizer):
        def propose(self, n, rng):
            return chosen

    optimizer = make_optimizer(Broken, pool, initial=[pool[7]])
    optimizer.ask()
    with pytest.raises(ProposalError, match=r"Broken\.propose was asked for up to 2"):
        optimizer.ask(2)
    assert optimizer.seen == {7}


@pytest.mark.parametrize("chosen", [5, [3.7], ["a"], None])
def test_a_proposal_of_no_numbers_is_refused(pool, chosen):
    class Broken(Optimizer):
        def propose(self, n, rng):
            return chosen

    with pytest.raises(ProposalError, match="no whole numbers"):
        make_optimizer(Broken, pool, initial=0).ask()


def test_a_proposal_may_be_an_array(pool):
    class FromArray(Optimizer):
        def propose(self, n, rng):
            return rng.choice(self.unseen(), size=n, replace=False)

    assert len(set(play(make_optimizer(FromArray, pool, initial=2), 8, n=3))) == 24


@pytest.mark.parametrize("name", NAMES)
def test_infinite_values_are_refused(name, pool):
    optimizer = make_optimizer(name, pool)
    with pytest.raises(OptionError, match="infinite"):
        optimizer.tell(optimizer.ask(), [math.inf])
    assert optimizer.values == []


def test_options_are_inherited(pool):
    class Mine(registry.optimizer_class("boshnas")):
        def __init__(self, space, *, extra=3, **common):
            super().__init__(space, **common)
            self.extra = extra

    assert make_optimizer(Mine, pool, k1=0.25, extra=5).k1 == 0.25
    assert registry.optimizer_options(Mine)["extra"] == 3


def test_two_optimizers_of_one_name_are_refused(monkeypatch):
    entries = [registry.EntryPoint("mine", f"package_{i}:Optimizer", registry.GROUP) for i in (1, 2)]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    registry._entries.cache_clear()
    try:
        with pytest.raises(OptionError, match="package_1:Optimizer and package_2:Optimizer"):
            optimizer_names()
    finally:
        registry._entries.cache_clear()


def test_a_class_can_be_passed_in_place_of_a_name(pool):
    class First(Optimizer):
        def propose(self, n, rng):
            return [i for i in range(self.space.size) if i not in self.seen][:n]

    assert make_optimizer(First, pool, initial=0).ask(3) == [pool[0], pool[1], pool[2]]


def test_options_are_checked_against_their_defaults(pool):
    for options in ({"k1": "big"}, {"k1": math.nan}, {"restarts": 2.5}, {"restarts": True}):
        with pytest.raises(OptionError, match="not of the kind"):
            make_optimizer("boshnas", pool, **options)
    assert make_optimizer("boshnas", pool, k1=1).k1 == 1


@pytest.mark.parametrize("target", ["flexnas_bench.card:ModelCard", "flexnas_bench.nowhere:X", "flexnas_bench.card:X"])
def test_a_broken_entry_point_is_one_clear_error(monkeypatch, target):
    entry = registry.EntryPoint("broken", target, registry.GROUP)
    monkeypatch.setattr(registry, "_entries", lambda: {"broken": entry})
    with pytest.raises(OptionError, match="broken"):
        registry.optimizer_class("broken")
    with pytest.raises(OptionError, match="installed: broken"):
        registry.optimizer_class("nobody")


def test_random_search_is_uniform(pool):
    counts = np.zeros(pool.size)
    for seed in range(400):
        counts[[pool.index(card) for card in make_optimizer("random", pool, seed=seed).ask(25)]] += 1
    expected = 400 * 25 / pool.size
    chi_square = ((counts - expected) ** 2 / expected).sum() / (1 - 25 / pool.size)
    assert abs(chi_square - (pool.size - 1)) < 4 * math.sqrt(2 * (pool.size - 1))


@pytest.mark.parametrize("space", ["g1", "g2", "g3", "homogeneous"])
def test_a_search_may_begin_with_the_twelve_models_of_the_paper(space):
    optimizer = make_optimizer("random", space, initial="paper12")
    assert [card.hash for card in optimizer.ask(12)] == [ModelCard.named(name).hash for name in PAPER12]


def test_in_the_pool_it_begins_with_the_cards_nearest_to_them(pool):
    cards = make_optimizer("random", pool, initial="paper12").ask(12)
    assert len(set(cards)) == 12
    for i, name in enumerate(PAPER12):
        assert cards[i] == pool.nearest(ModelCard.named(name), excluded=cards[:i])
        assert cards[i].num_layers == ModelCard.named(name).num_layers


@pytest.mark.parametrize("initial", ["", "paper13", -1, True, 2.5, None, ["bert-tiny"], [1]])
def test_what_a_search_cannot_begin_with(pool, initial):
    if initial is None:
        assert make_optimizer("random", pool, initial=initial).initial_size == 10
    else:
        with pytest.raises(OptionError, match="initial: "):
            make_optimizer("random", pool, initial=initial)


@pytest.mark.parametrize("seed", [-1, "a", 1.5, True, None])
def test_what_is_no_seed(pool, seed):
    with pytest.raises(OptionError, match="seed: "):
        make_optimizer("random", pool, seed=seed)
