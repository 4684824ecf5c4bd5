import math
import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from flexnas_bench import InvalidCardError, ModelCard, NotMeasuredError, OptionError, Training, load_benchmark
from flexnas_bench.benchmark import Benchmark
from flexnas_bench.results import GLUE_METRICS, training_cost_seconds

TINY, MINI = ModelCard.named("bert-tiny"), ModelCard.named("bert-mini")


def small_benchmark(*trainings):
    """A benchmark of trainings `(card, protocol, init, replicate, origin, glue8, finetune_seconds)`."""
    names = ("card", "protocol", "init", "replicate", "origin")
    rows = [
        row
        for *facts, value, finetune in trainings
        for row in Training(
            **dict(zip(names, facts, strict=True)),
            scores={"glue8": value},
            pretrain_seconds=1_000.0,
            finetune_seconds=finetune,
        ).rows()
    ]
    cards = {row["hash"]: row["card"] for row in rows}
    return Benchmark(rows, lambda: cards, {"electra-owt-100k": {}, "other": {}}, {"own": {}})


PLAIN = ("electra-owt-100k", "scratch")


def test_a_card_a_dictionary_a_json_and_a_hash_get_the_same_answer(bench, pool):
    card = pool[5]
    answers = {bench.query(c) for c in (card, card.hash, card.hash.upper(), card.to_json())}
    assert answers == {bench.query(card.to_dict())}
    assert len(answers) == 1


def test_replicates_are_averaged_and_can_be_told_apart():
    bench = small_benchmark((TINY, *PLAIN, 0, "published", 60.0, 10.0), (TINY, *PLAIN, 1, "published", 62.0, 30.0))
    result = bench.query(TINY)
    assert (result.value, result.n) == (61.0, 2)
    assert result.std == pytest.approx(math.sqrt(2))
    assert result.cost_seconds == 1_020.0
    assert bench.query(TINY, replicate=1).value == 62.0
    assert math.isnan(bench.query(TINY, replicate=1).std)
    with pytest.raises(NotMeasuredError, match="2 trainings"):
        bench.query(TINY, replicate=2)


def test_one_of_two_trainings_diverged():
    bench = small_benchmark((TINY, *PLAIN, 0, "published", math.nan, 1.0), (TINY, *PLAIN, 1, "published", 62.0, 1.0))
    result = bench.query(TINY)
    assert math.isnan(result.value)
    assert math.isnan(result.std)
    assert result.n == 2
    assert np.isnan(bench.query_many([TINY])).all()
    with pytest.raises(NotMeasuredError):
        bench.best()


def test_every_source_of_an_answer_is_named():
    trainings = [
        Training(card=TINY, protocol="other", scores={"rte": 50.0 + i}, replicate=i, source=source)
        for i, source in enumerate("ab")
    ]
    rows = [row for training in trainings for row in training.rows()]
    bench = Benchmark(rows, dict, {"other": {}}, {"a": {"citation": "A"}, "b": {"citation": "B"}})
    result = bench.query(TINY, "rte", "other")
    assert (result.value, result.source, bench.cite(result)) == (50.5, "a, b", "A; B")
    assert bench.query(TINY, "rte", "other", replicate=1).source == "b"


def test_an_unknown_fine_tuning_time_is_in_the_papers_proportion():
    bench = small_benchmark((TINY, *PLAIN, 0, "published", 60.0, None))
    assert bench.query(TINY).cost_seconds == pytest.approx(1_000 / (1 - 0.9875 / 39.4646))  # Figure 7
    assert bench.query(TINY).cost_assumed
    assert not small_benchmark((TINY, *PLAIN, 0, "published", 60.0, 5.0)).query(TINY).cost_assumed


def test_another_protocol_init_or_kind_is_never_answered_silently():
    bench = small_benchmark(
        (TINY, "other", "scratch", 0, "measured", 50.0, 1.0),
        (TINY, "electra-owt-100k", MINI.hash, 0, "published", 70.0, 1.0),
    )
    with pytest.raises(NotMeasuredError) as error:
        bench.query(TINY)
    text = str(error.value)
    assert "protocol other, init scratch, measured: glue8" in text
    assert f"protocol electra-owt-100k, init {MINI.hash}, published: glue8" in text
    assert bench.query(TINY, protocol="other").value == 50.0
    assert bench.query(TINY, init=MINI.hash).value == 70.0
    with pytest.raises(NotMeasuredError, match="no scores"):
        bench.query(MINI)
    with pytest.raises(OptionError, match="unknown kind 'guess'"):
        bench.query(TINY, kind="guess")


def test_origins_are_never_averaged_and_ones_own_come_first():
    bench = small_benchmark((TINY, *PLAIN, 0, "published", 60.0, 1.0), (TINY, *PLAIN, 0, "measured", 70.0, 1.0))
    result = bench.query(TINY)
    assert (result.value, result.n, result.origin) == (70.0, 1, "measured")
    assert "measured: glue8" in bench.known(TINY.hash)
    assert "published: glue8" in bench.known(TINY.hash)
    assert bench.known(MINI.hash).startswith("no scores")


def test_a_protocol_without_scores_has_no_best(bench):
    empty = small_benchmark((TINY, *PLAIN, 0, "published", 60.0, 1.0))
    with pytest.raises(NotMeasuredError, match="protocol other"):
        empty.best(protocol="other")
    with pytest.raises(OptionError, match="seed"):
        bench.query(bench.best().card_hash, seed=3)


def test_names_that_exist_nowhere(bench):
    card = bench.best().card_hash
    with pytest.raises(OptionError, match="there are cola"):
        bench.query(card, task="squad")
    with pytest.raises(OptionError, match="electra-owt-100k"):
        bench.query(card, protocol="bert")
    with pytest.raises(OptionError):
        bench.best("squad")
    with pytest.raises(OptionError):
        load_benchmark("nas-bench-101")


@pytest.mark.parametrize("text", ["", "bert", "0" * 63, "g" * 64, "{}", '{"l": 2}'])
def test_what_is_no_card(bench, text):
    with pytest.raises(InvalidCardError):
        bench.query(text)


def test_a_hash_of_nothing(bench):
    with pytest.raises(NotMeasuredError):
        bench.query("0" * 64)
    with pytest.raises(NotMeasuredError):
        bench.card("0" * 64)


def test_the_best_is_the_best(bench, pool):
    assert bench.best().value == max(bench.query(card).value for card in pool) == pytest.approx(75.13)
    assert bench.best("rte").value == max(bench.query(card, "rte").value for card in pool)
    assert set(bench.hashes()) == {card.hash for card in pool}


def test_glue8_is_the_mean_of_its_tasks(bench, pool):
    tasks = list(GLUE_METRICS)
    assert len(tasks) == 8
    assert {*tasks, "glue8"} <= set(bench.tasks)
    for card in pool.sample(40, seed=2):
        assert bench.query(card).value == pytest.approx(sum(bench.query(card, task).value for task in tasks) / 8)


def test_every_answer_leads_to_its_source_and_protocol(bench, pool):
    for card in pool.sample(40, seed=3):
        result = bench.query(card)
        assert result.origin == "published"
        assert "Serianni" in bench.sources[result.source]["citation"]
        assert bench.protocols[result.protocol]["source"] == result.source
    with pytest.raises(FrozenInstanceError):
        result.value = 100.0


def test_a_card_comes_back_from_its_hash(bench):
    assert bench.card(TINY.hash) == TINY
    best = bench.best()
    assert bench.card(best.card_hash).hash == best.card_hash


def test_many_are_answered_as_one_by_one(bench, pool):
    cards = [*pool.sample(30, seed=4), TINY, MINI]
    for task, protocol in (("glue8", None), ("rte", "electra-owt-1m-step-150k"), ("glue", "flexibert-2021-early")):
        one_by_one = [value_or_nan(bench, card, task, protocol) for card in cards]
        for many in (cards, [card.hash for card in cards], [card.hash.upper() for card in cards]):
            np.testing.assert_array_equal(bench.query_many(many, task, protocol), one_by_one)
    mixed = [cards[0], cards[1].to_json(), cards[2].to_dict(), cards[3].hash]
    np.testing.assert_array_equal(bench.query_many(mixed), [bench.query(card).value for card in cards[:4]])
    assert bench.query_many([]).shape == (0,)
    np.testing.assert_array_equal(bench.query_many(iter(pool)), [bench.query(card).value for card in pool])


def value_or_nan(bench, card, task, protocol):
    try:
        return bench.query(card, task, protocol).value
    except NotMeasuredError:
        return math.nan


def test_many_that_are_none(bench):
    assert np.isnan(bench.query_many(["0" * 64])).all()
    for bad in (["bert"], "0" * 64, TINY.to_dict(), TINY):
        with pytest.raises(InvalidCardError):
            bench.query_many(bad)
    with pytest.raises(OptionError):
        bench.query_many([], task="squad")
    with pytest.raises(OptionError):
        bench.query_many([], protocol="bert")


def test_the_frame_has_every_score(bench, pool):
    frame = bench.to_frame()
    own = frame["source"] == "flexnas-bench"
    assert set(frame[own]["origin"]) == {"measured"}
    assert set(frame[own]["protocol"]) == {"cpu-lite"}
    frame = frame[~own]
    assert len(frame) == 500 * 9 + 285 * 9 + 10
    assert set(frame["origin"]) == {"published"}
    assert set(frame["source"]) <= set(bench.sources)
    runnable = {
        name for name, facts in bench.protocols.items() if "pretraining" in facts
    }  # of which no published scores are shipped
    assert set(frame["protocol"]) == set(bench.protocols) - runnable
    glue8 = bench.to_frame("glue8", "electra-owt-100k").groupby("card_hash")["value"].mean()
    assert len(glue8) == 491
    for card in pool.sample(40, seed=9):
        assert glue8[card.hash] == pytest.approx(bench.query(card).value)
    with pytest.raises(OptionError):
        bench.to_frame("squad")


def test_a_curve_goes_by_steps_and_says_where_each_point_is_from(bench):
    card = next(bench.hashes("rte", "electra-owt-1m-step-0k"))
    curve = bench.trajectory(card, "rte")
    assert curve["pretrain_steps"].tolist() == [0, *range(150_000, 1_000_001, 50_000)]
    assert curve["protocol"].tolist() == [f"electra-owt-1m-step-{steps // 1000}k" for steps in curve["pretrain_steps"]]
    pd.testing.assert_frame_equal(bench.trajectory(card, "rte", "electra-owt-1m"), curve)
    with pytest.raises(NotMeasuredError, match=r"no learning curve other of rte; it has electra-owt-1m"):
        bench.trajectory(card, "rte", "other")
    with pytest.raises(NotMeasuredError, match="it has none"):
        bench.trajectory(TINY)
    with pytest.raises(OptionError, match="unknown task"):
        bench.trajectory(card, "squad")


def test_what_a_card_has_instead_names_a_curve_once(bench):
    curved = next(bench.hashes("rte", "electra-owt-1m-step-0k"))
    with pytest.raises(NotMeasuredError) as error:
        bench.query(curved, "rte", "flexibert-2021-early")
    assert str(error.value).count("electra-owt-1m-step-...k") == 1


def test_a_transfer_costs_the_fine_tuning_alone():
    bench = small_benchmark(
        (TINY, "other", MINI.hash, 0, "measured", 50.0, 30.0),
        (MINI, "other", TINY.hash, 0, "measured", 50.0, None),
    )
    assert bench.query(TINY, protocol="other", init=MINI.hash).cost_seconds == 30.0
    ratio = 0.9875 / (39.4646 - 0.9875)  # Figure 7, for the pre-training that the transfer saved
    assert bench.query(MINI, protocol="other", init=TINY.hash).cost_seconds == pytest.approx(1_000 * ratio)
    assert math.isnan(training_cost_seconds(None, 30.0))
    assert math.isnan(training_cost_seconds(None, None, MINI.hash))


def test_a_query_imports_neither_torch_nor_pandas_nor_networkx():
    program = (
        "import sys, flexnas_bench; light = set(sys.modules); "
        "bench = flexnas_bench.load_benchmark(); bench.query(bench.best().card_hash); "
        "heavy = {'torch', 'pandas', 'networkx', 'scipy', 'matplotlib'}; "
        "print(sorted(heavy & set(sys.modules)), sorted((heavy | {'numpy', 'pyarrow'}) & light))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
