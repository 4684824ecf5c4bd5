import math

import numpy as np
import pytest

from flexnas_bench import NotMeasuredError, Optimizer, OptionError, Store, Training, load_benchmark, load_space, search
from flexnas_bench.searching.objective import choose_objective
from flexnas_bench.searching.runs import CARDS_FILE, read_cards

GLUE8, PROTOCOL = "glue8", "electra-owt-100k"


@pytest.mark.parametrize(("space", "kind"), [("pool", "table"), ("g1", "surrogate"), ("g3", "surrogate")])
def test_trained_cards_are_looked_up_and_others_predicted(bench, space, kind):
    assert choose_objective(bench, load_space(space), GLUE8, PROTOCOL).kind == kind


def test_a_table_and_predictions_are_never_mixed(bench):
    run = search(bench, "random", "g1", budget=30, seed=1)
    assert set(run.frame["origin"]) == {"predicted"}  # also of the eight that are trained
    assert set(search(bench, "random", "pool", budget=5).frame["origin"]) == {"published"}
    assert set(search(bench, "random", "pool", budget=5, kind="surrogate").frame["origin"]) == {"predicted"}


def test_noise_is_that_of_the_seed_whoever_asks(bench):
    runs = [search(bench, name, "g1", budget=10, seed=4, noisy=True).frame for name in ("random", "evolution")]
    assert runs[0]["value"].tolist() == runs[1]["value"].tolist()  # the same ten initial cards
    smooth = search(bench, "random", "g1", budget=10, seed=4).frame
    assert (runs[0]["card_hash"] == smooth["card_hash"]).all()
    gaps = runs[0]["value"] - smooth["value"]
    assert 0.2 < gaps.std() < 1.2


def test_what_is_written_of_a_card_is_its_expected_value(bench, tmp_path):
    run = search(bench, "random", "g2", budget=15, seed=0, noisy=True, out=tmp_path)
    cards = read_cards(tmp_path / CARDS_FILE)
    assert set(cards["card_hash"]) == set(run.frame["card_hash"])
    for row in cards.itertuples():
        assert row.expected == pytest.approx(bench.query(row.card, kind="surrogate").value)


def test_the_best_there_is(bench, pool):
    assert choose_objective(bench, pool, GLUE8, PROTOCOL).optimum(pool) == bench.best().value
    g1 = load_space("g1")
    objective = choose_objective(bench, g1, GLUE8, PROTOCOL)
    some = [bench.query(card, kind="surrogate").value for card in g1.sample(50)]
    assert objective.optimum(g1) > max(some)
    assert math.isnan(objective.optimum(load_space("g2")))


def test_predictions_follow_from_the_scores_behind_them(bench, tmp_path):
    cards = load_space("g1").sample(3, seed=5)
    store = Store(tmp_path / "mine")
    store.append([Training(card=c, protocol=PROTOCOL, scores={"glue8": 76.0 + i}, seed=1) for i, c in enumerate(cards)])
    own = load_benchmark(store=tmp_path / "mine")
    g1 = load_space("g1")
    digests = [choose_objective(one, g1, GLUE8, PROTOCOL).digest(g1) for one in (bench, own)]
    assert digests[0] != digests[1]
    changes = [own.query(c, kind="surrogate").value - bench.query(c, kind="surrogate").value for c in cards]
    assert np.abs(changes).max() > 0.5


def test_what_cannot_be_predicted_is_refused(bench):
    large = load_space("docs/tiny_to_large.toml")
    with pytest.raises(NotMeasuredError, match=r"only 8 of the .* space g3 has no cards of 24 layers"):
        search(bench, "random", large, budget=3)
    for settings, reason in (({"kind": "guess"}, "kind: "), ({"kind": "table", "noisy": True}, "noisy: ")):
        with pytest.raises(OptionError, match=reason):
            search(bench, "random", budget=3, **settings)


def test_an_option_of_an_optimizer_that_is_a_setting_of_searches(bench):
    class Mine(Optimizer):
        def __init__(self, space, *, workers=3, **common):
            super().__init__(space, **common)

        def propose(self, n, rng):
            return self.draw_unseen(n, rng)

    with pytest.raises(OptionError, match="option workers of Mine has the name of a setting of searches"):
        search(bench, Mine, budget=3)
