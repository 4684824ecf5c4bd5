import json

import numpy as np
import pytest

from flexnas_bench import Store, Training, load_benchmark, load_space
from flexnas_bench.results import PREDICTIONS
from flexnas_bench.storage import read_parquet

CARDS = load_space("g1").sample(130, seed=4)


@pytest.fixture
def quick(monkeypatch):
    """Fewer trees and samples than people get."""
    monkeypatch.setattr("flexnas_bench.surrogate.validation.TREES", 10)
    monkeypatch.setattr("flexnas_bench.surrogate.judging.RESAMPLES", 20)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A store of 130 cards whose score follows from their size."""
    folder = tmp_path_factory.mktemp("own") / "store"
    rng = np.random.default_rng(0)
    Store(folder).append(
        Training(card=card, protocol="mine", scores={"rte": score, "sst2": 80.0}, seed=1, pretrain_seconds=60.0 + score)
        for card in CARDS[:120]
        for score in [50 + card.parameters / 1e6 + rng.normal()]
    )
    return folder


def test_fit_writes_models_that_queries_then_use_and_predictions(flexnas, own, tmp_path):
    arguments = ("surrogate", "fit", "--store", own, "--protocol", "mine")
    code, out, _ = flexnas(*arguments, "--task", "rte")
    assert code == 0
    assert "1 models fitted (rte)" in out
    path = own / "surrogate" / "models.toml"
    (first,) = {line for line in path.read_text().splitlines() if line.startswith("scores")}
    bench = load_benchmark(store=own)
    before = bench.query(CARDS[125], "rte", "mine", kind="auto")
    assert before.origin == "predicted"
    path.write_text(path.read_text().replace(first, first.replace("length = ", "length = 9")))
    assert load_benchmark(store=own).query(CARDS[125], "rte", "mine", kind="auto").value != before.value
    assert flexnas(*arguments, "--space", "homogeneous")[0] == 0
    assert load_benchmark(store=own).query(CARDS[125], "rte", "mine", kind="auto") == before
    assert path.read_text().count("protocol = ") == 2  # sst2 as well, and rte once
    table = read_parquet(own / "surrogate" / "homogeneous.parquet", PREDICTIONS).to_pandas()
    assert table.groupby("task").size().to_dict() == {"rte": 192, "sst2": 192}
    row = table[table["task"] == "rte"].iloc[5]
    assert row["mean"] == pytest.approx(bench.query(row["hash"], "rte", "mine", kind="surrogate").value, abs=1e-3)


def test_evaluate_judges_ones_own_table(flexnas, own, quick, tmp_path):
    picture = tmp_path / "calibration.svg"
    arguments = ("surrogate", "evaluate", "--store", own, "--protocol", "mine", "--task", "rte", "--repeats", 1)
    code, out, _ = flexnas(*arguments, "--jobs", 1, "--json", "--figure", picture)
    assert code == 0
    found = json.loads(out)
    assert set(found["judged"]) == {"all cards", "strongest"}
    assert found["judged"]["all cards"].keys() == {"surrogate", "forest", "surrogate - forest"}  # no ceiling
    assert found["noise"]["value"] is None
    for model in ("surrogate", "forest"):
        assert found["judged"]["all cards"][model]["Kendall tau"]["low"] > 0.5
    assert found["judged"]["all cards"]["forest"]["NLL"]["value"] is None
    assert "l=4" not in found["left_out"]  # without them hardly a card is left
    assert found["left_out"]["DSC"]["Kendall tau"]["value"] > 0.5
    assert found["curve"].keys() == {"75"}
    assert "Predicted rte, protocol mine" in picture.read_text()


def test_evaluate_shows_tables_and_sources(flexnas, quick, monkeypatch):
    monkeypatch.setattr("flexnas_bench.surrogate.evaluation.MODELS", {"surrogate": _flat})
    monkeypatch.setattr("flexnas_bench.surrogate.evaluation.leave_strata_out", lambda *_, **__: {})
    monkeypatch.setattr("flexnas_bench.surrogate.evaluation.learning_curve", lambda *_, **__: {})
    code, out, _ = flexnas("surrogate", "evaluate", "--repeats", 1, "--jobs", 1)
    assert code == 0
    for text in ("500 trainings of 491 cards, 16 failed", "Serianni", "noise ceiling", "l=4, h=256", "claimed"):
        assert text in out


def test_a_broken_file_of_models_is_not_written_over(flexnas, own):
    path = own / "surrogate" / "models.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("[broken")
    code, _, err = flexnas("surrogate", "fit", "--store", own, "--protocol", "mine")
    assert (code, path.read_text()) == (2, "[broken")
    assert "models.toml" in err
    path.unlink()


def _flat(known, new, space):
    from flexnas_bench.surrogate.validation import Guess

    return Guess(np.array([card.parameters / 1e6 for card in new]))


def test_a_checkpoint_is_judged_by_its_line(flexnas):
    name = "electra-owt-1m-step-500k"
    code, out, _ = flexnas("surrogate", "evaluate", "--protocol", name)
    assert code == 0
    assert "errors of 15 cards" in out
    found = json.loads(flexnas("surrogate", "evaluate", "--protocol", name, "--json")[1])
    assert found["median_error"] < found["root_mean_square_error"] < found["largest_error"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["evaluate", "--task", "nope"], "unknown task"),
        (["evaluate", "--protocol", "nope"], "unknown protocol"),
        (["evaluate", "--protocol", "electra-owt-1m-step-500k", "--figure", "x.png"], "is a checkpoint"),
        (["evaluate", "--jobs", "0"], "--jobs"),
        (["evaluate", "--protocol", "flexibert-2021-early", "--task", "glue"], "need 50 to 5,000 scored cards"),
        (["evaluate", "--figure", "picture.doc"], "a picture is one of"),
        (["fit"], "--out: name a folder"),
        (["fit", "--out", "x", "--space", "nope"], "no space is named"),
        (["fit", "--out", "x", "--space", "g3"], "too many"),
        (["fit", "--out", "x", "--protocol", "flexibert-2021-early"], "no task has 50 scored cards"),
    ],
)
def test_what_makes_no_sense_is_one_line(flexnas, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    code, out, err = flexnas("surrogate", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
