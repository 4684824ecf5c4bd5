import numpy as np
import pandas as pd
import pytest

from flexnas_bench import ModelCard


@pytest.fixture(scope="module")
def of_cards(programs):
    return programs("findings_of_cards")


@pytest.fixture(scope="module")
def verdict(programs):
    return programs("wording").verdict


@pytest.fixture(scope="module")
def trained(bench):
    return bench.trained()


@pytest.fixture(scope="module")
def cards(of_cards, trained):
    return of_cards.trained_cards(trained)


def test_a_difference_of_predictions_is_no_surer_than_both(of_cards):
    one, other = ({"mean": mean, "epistemic_std": std} for mean, std in ((73.0, 0.3), (74.0, 0.4)))
    effect, most = of_cards.predicted_difference(one, other)
    assert most == pytest.approx(0.7)
    assert effect == pytest.approx((1.0, 1.0 - 1.6449 * 0.7, 1.0 + 1.6449 * 0.7), abs=1e-4)


def test_combinations_are_those_of_the_normal_equations(of_cards):
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(300), rng.normal(size=(300, 2))])
    y = x @ [70.0, 1.0, -2.0] + rng.normal(size=300) * (0.5 + (x[:, 1] > 0))
    weights = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, -1.0]])
    found = of_cards.combinations(x, y, weights)
    inverse = np.linalg.inv(x.T @ x)
    coefficients = inverse @ x.T @ y
    assert [one.value for one in found] == pytest.approx(weights @ coefficients)
    left = y - x @ coefficients
    covariance = inverse @ (x.T * left**2) @ x @ inverse  # White's, for noise that is not the same everywhere
    deviations = np.sqrt(np.diag(weights @ covariance @ weights.T))
    assert [one.high - one.low for one in found] == pytest.approx(2 * 1.645 * deviations, rel=0.06)


def test_an_interval_of_the_strongest_cards_holds_an_effect_of_zero_nine_times_in_ten(of_cards, cards, monkeypatch):
    monkeypatch.setattr(of_cards, "RESAMPLES", 300)
    strongest = of_cards.samples(cards)["four layers, 256 wide"]
    rng, inside = np.random.default_rng(1), []
    for _ in range(60):  # of 18 sums each
        scores = strongest.assign(score=73 + 0.7 * rng.normal(size=len(strongest)))
        inside += [effect.low <= 0 <= effect.high for effect in of_cards.effects(scores, of_cards.by_half())]
    assert 0.86 < np.mean(inside) < 0.94


def planted(cards, seed, **effects):
    """Scores of the cards with such effects, a level for each size, and noise."""
    shares = sum(effect * cards[name.replace("_", " ")] for name, effect in effects.items())
    noise = np.random.default_rng(seed).normal(size=len(cards)) * np.where(cards["depth"] == 2, 1.0, 0.5)
    return cards.assign(score=60 + cards["depth"] * 2 + cards["hidden"] / 64 + shares + noise)


def test_what_was_planted_in_one_half_is_found_there_and_what_is_in_both_is_no_rule_of_depth(of_cards, verdict, cards):
    scores = planted(cards, 0, deeper_DCT=1.5, deeper_single=0.8, shallower_single=0.8, shallower_wide=0.6)
    found = of_cards.across(scores, of_cards.by_half())
    deeper, moved = found.loc[of_cards.DEEPER], found.loc[of_cards.MOVED]
    rules = {
        "DCT, not another operation": (1.5, 1.5),
        "DCT, not DFT": (1.5, 1.5),
        "one feed-forward network, not three": (0.8, 0.0),
        "feed-forward networks 1024 wide, not 512": (0.0, -0.6),
        "four heads, not two": (0.0, 0.0),
        "all four": (2.3, 0.9),
    }
    held = [
        effect.low <= truth <= effect.high
        for rule, truths in rules.items()
        for truth, effects in zip(truths, (deeper, moved), strict=True)
        for effect in effects.loc[rule]
    ]
    assert np.mean(held) > 0.8  # of 48 intervals, which share cards
    for rule, truths in rules.items():
        for truth, effects in zip(truths, (deeper, moved), strict=True):
            assert effects.loc[rule, "all"].value == pytest.approx(truth, abs=0.5)
    assert deeper.loc["one feed-forward network, not three"].map(verdict).eq("agrees").all()


def test_mixing_is_told_apart_from_what_layers_are_worth(of_cards, verdict, cards):
    scores = planted(cards, 1, mixed_heads=0.7, deeper_WMA=1.0)
    weights = {name: {f"mixed {name}": 1.0} for name in of_cards.MIXES}
    found = of_cards.across(scores, weights, mixed=True)["all"]
    assert verdict(found["heads"]) == "agrees"
    assert found["heads"].value == pytest.approx(0.7, abs=0.25)
    assert found["operations"].value == pytest.approx(0.0, abs=0.25)


def test_the_papers_own_card_follows_every_rule(of_cards):
    row = pd.Series(of_cards.described(ModelCard.named("flexibert-mini")))
    for (where, rule), weights in of_cards.by_half().items():
        has = sum(row[column] * weight for column, weight in weights.items())
        deeper, shallower = (4.0, 0.0) if rule == "all four" else (1.0, 0.0)
        expected = {of_cards.MOVED: deeper - shallower, of_cards.DEEPER: deeper, of_cards.SHALLOWER: shallower}
        assert has == expected[where]
    assert row["mixed operations"] == row["mixed heads"] == row["mixed feed-forward stacks"] == 2


def test_halves_exchanged_have_as_many_parameters(trained):
    assert all(len({layer.hidden for layer in one.card.layers}) == 1 for one in trained)
    for one in trained[::10]:
        middle = one.card.num_layers // 2
        layers = one.card.layers
        assert ModelCard((*layers[middle:], *layers[:middle])).parameters == one.card.parameters


def test_failed_trainings_are_apart_and_replicates_are_one_card(of_cards, trained, cards):
    failed = sum(len(one.failed_scores) for one in trained)
    assert (len(trained), failed, len(cards)) == (491, 16, 475)
    twice = next(one for one in trained if len(one.scores) == 2)
    assert np.isclose(cards["score"], np.mean(twice.scores)).sum() == 1
    _, table = of_cards.failures(trained)
    for line in table.splitlines()[2:]:
        counts = [cell.split(":")[0].split(" of ") for cell in line.strip("| ").split(" | ")[1:]]
        assert np.array(counts, int).sum(axis=0).tolist() == [16, 239]  # trainings of two layers
