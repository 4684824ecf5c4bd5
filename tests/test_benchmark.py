import math
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from flexnas_bench import InvalidCardError, ModelCard, NotMeasuredError, OptionError, Training, load_benchmark
from flexnas_bench.benchmark import Benchmark
from flexnas_bench.results import GLUE_METRICS

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


def test_an_unknown_fine_tuning_time_is_in_the_papers_proportion():
    bench = small_benchmark((TINY, *PLAIN, 0, "published", 60.0, None))
    assert bench.query(TINY).cost_seconds == pytest.approx(1_000 / (1 - 0.9875 / 39.4646))  # Figure 7


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
    with pytest.raises(OptionError, match="unknown kind 'surrogate'"):
        bench.query(TINY, kind="surrogate")


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


def test_a_query_imports_neither_torch_nor_pandas_nor_networkx():
    program = (
        "import sys, flexnas_bench; light = set(sys.modules); "
        "bench = flexnas_bench.load_benchmark(); bench.query(bench.best().card_hash); "
        "heavy = {'torch', 'pandas', 'networkx', 'scipy', 'matplotlib'}; "
        "print(sorted(heavy & set(sys.modules)), sorted((heavy | {'numpy', 'pyarrow'}) & light))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
