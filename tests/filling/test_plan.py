import math
from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import ModelCard, load_space
from flexnas_bench.distance.overlap import overlap_fraction
from flexnas_bench.filling.known import Known
from flexnas_bench.filling.plan import Planner, choose_donors
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.results import SCRATCH
from tests.filling.conftest import Table

#: Three kinds of layers, so that cards begin alike.
KINDS = [EncoderLayer("SA", kind, 128, heads, (512,)) for kind, heads in (("SDP", 2), ("WMA", 2), ("SDP", 4))]
cards_alike = st.lists(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4).map(lambda layers: ModelCard(tuple(layers))),
    min_size=1,
    max_size=7,
    unique=True,
)


@given(cards_alike, st.sampled_from([0.4, 0.5, 0.8, 1.0]))
def test_every_card_is_trained_once_and_after_its_donor(cards, overlap):
    donors = choose_donors(cards, overlap)
    assert sorted(card.hash for card in donors) == sorted(card.hash for card in cards)
    order = list(donors)
    for card, donor in donors.items():
        if donor is not None:
            assert donors[donor] is None, "a donor is trained from scratch"
            assert order.index(donor) < order.index(card)
            fractions = [overlap_fraction(card, one) for one in cards if donors[one] is None]
            assert overlap_fraction(card, donor) == max(fractions) >= overlap - 1e-9


@given(cards_alike, st.sampled_from([0.5, 0.8]))
def test_donors_are_about_as_few_as_can_be(cards, overlap):
    def serves(some):
        return all(any(overlap_fraction(card, one) >= overlap - 1e-9 for one in some) for card in cards)

    fewest = next(n for n in range(1, len(cards) + 1) if any(map(serves, combinations(cards, n))))
    chosen = [card for card, donor in choose_donors(cards, overlap).items() if donor is None]
    assert serves(chosen)
    assert fewest <= len(chosen) <= fewest * (1 + math.log(len(cards)))


def test_all_of_g1_is_planned():
    space = load_space("g1")
    donors = choose_donors([space[i] for i in range(space.size)], 0.8)
    assert len(donors) == space.size
    shallow = [card for card in donors if card.num_layers == 2]
    assert len(shallow) == sum(donor is not None for donor in donors.values()) == 96, "whatever begins a deeper card"


def test_what_has_scores_is_left_out():
    one, two = ModelCard((KINDS[0],)), ModelCard((KINDS[1],))
    table = Table({(one, 0): {SCRATCH: {"rte": 1.0}}, (one, 1): {SCRATCH: {"rte": 1.0, "wnli": 1.0}}})
    planner = Planner(["rte", "wnli"], table, table, None)
    jobs = [job for replicate in (0, 1) for job in planner.jobs([one, two, one], replicate)]
    assert [(job.card, job.replicate, job.tasks) for job in jobs] == [
        (one, 0, ("wnli",)),
        (two, 0, ("rte", "wnli")),
        (two, 1, ("rte", "wnli")),
    ]


@pytest.mark.parametrize(("overlap", "missing"), [(None, ("rte", "wnli")), (0.8, ())])
def test_a_plan_with_transfers_counts_scores_of_any_init_but_of_one(overlap, missing):
    card, other = ModelCard((KINDS[0],)), "f" * 64

    def tasks(**of):
        table = Table({(card, 0): {{"scratch": SCRATCH, "other": other}[init]: scores for init, scores in of.items()}})
        return next((job.tasks for job in Planner(["rte", "wnli"], table, table, overlap).jobs([card], 0)), ())

    assert tasks(other={"rte": 1.0, "wnli": 2.0}) == missing
    assert tasks(other={"rte": 1.0}, scratch={"wnli": 2.0}) == ("rte",), "half of one and half of another is none"


def test_weights_that_are_there_are_used_before_any_are_trained():
    shallow, deep, deeper = (ModelCard(tuple(KINDS[:n])) for n in (1, 2, 3))
    assert choose_donors([shallow, deep], 0.4) == {deep: None, shallow: deep}
    assert choose_donors([shallow, deep], 0.4, [deeper]) == {shallow: deeper, deep: deeper}
    assert choose_donors([shallow, deep], 0.4, [shallow]) == {shallow: None, deep: shallow}
    assert choose_donors([shallow, deep], 1.0, [shallow]) == {shallow: None, deep: None}


def test_what_was_begun_goes_on_with_its_donor():
    shallow, deep, deeper = (ModelCard(tuple(KINDS[:n])) for n in (1, 2, 3))
    table = Table(trained=[deeper, deep], begun={shallow: deep})
    (job,) = Planner(["rte"], table, table, 0.5).jobs([shallow], 0)
    assert job.donor == deep
    table = Table(trained=[deeper], begun={shallow: deep})
    (job,) = Planner(["rte"], table, table, 0.5).jobs([shallow], 0)
    assert job.donor == deeper, "whose weights are gone"


def test_folders_tell_trainings_apart():
    shallow, deep = ModelCard((KINDS[0],)), ModelCard((KINDS[0], KINDS[1]))
    planners = [Planner(["rte"], Table(), Table(), overlap) for overlap in (0.8, None)]
    jobs = [job for planner in planners for replicate in (0, 1) for job in planner.jobs([shallow, deep], replicate)]
    assert len({job.name for job in jobs}) == 6, "deep from scratch is the same training in both"
    assert {job.donor for job in jobs if job.card == shallow} == {deep, None}


def test_a_donor_that_shares_too_little_now_is_not_gone_on_with():
    shallow, deep = (ModelCard(tuple(KINDS[:n])) for n in (2, 1))
    table = Table(trained=[deep], begun={shallow: deep})
    (job,) = Planner(["rte"], table, table, 0.5).jobs([shallow], 0)
    assert job.donor == deep
    (job,) = Planner(["rte"], table, table, 0.8).jobs([shallow], 0)
    assert job.donor is None


def test_what_another_command_has_begun_meanwhile_goes_on_with_its_donor():
    shallow, deep, deeper = (ModelCard(tuple(KINDS[:n])) for n in (1, 2, 3))
    table = Table(trained=[deep, deeper])
    planner = Planner(["rte"], table, table, 0.5)
    (job,) = planner.jobs([shallow], 0)
    assert planner.as_begun(job) == job
    other = next(card for card in (deep, deeper) if card != job.donor)
    table._begun[shallow] = other
    assert planner.as_begun(job).donor == other


class Frame(Table):
    """A table of shipped and own scores, as a benchmark has them."""

    def __init__(self, rows):
        self.rows, self.protocols = rows, {"p"}

    def to_frame(self, protocol):
        return pd.DataFrame(self.rows, columns=["card_hash", "replicate", "init", "task", "value", "source"])


def test_half_a_shipped_training_and_half_ones_own_are_none():
    card = ModelCard((KINDS[0],))

    def planned(*rows):
        known = Known(Frame([(card.hash, 0, SCRATCH, *row) for row in rows]), "p")
        return [job.tasks for job in Planner(["rte", "wnli"], known, Table(), None).jobs([card], 0)]

    shipped, own = ("rte", 1.0, "flexnas-bench"), ("wnli", 2.0, "own")
    assert planned(shipped) == [("rte", "wnli")], "a shipped training cannot go on"
    assert planned(own) == planned(shipped, own) == [("rte",)]
    assert planned(shipped, ("wnli", 1.0, "flexnas-bench")) == planned(own, ("rte", 3.0, "own")) == []
