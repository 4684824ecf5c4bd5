import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import ModelCard, Store, TableCorruptError, Training, load_benchmark, load_space
from flexnas_bench.predictors.process import ProcessSettings
from flexnas_bench.results import DEFAULT_PROTOCOL, FITTED_FILE, GLUE_METRICS, PREDICTED_G1, PREDICTIONS
from flexnas_bench.storage import read_shipped, read_shipped_toml
from flexnas_bench.surrogate import Surrogate
from flexnas_bench.surrogate.fitted import Fitted, FittedModel, fitted_text, read_fitted

positive = st.floats(1e-9, 1e9)
processes = st.builds(
    ProcessSettings, positive, positive, st.dictionaries(st.integers(1, 99), positive, min_size=1, max_size=3)
)
models = st.builds(FittedModel, st.text(), st.text(), st.builds(Fitted, processes, st.none() | processes))


@given(st.dictionaries(st.text(min_size=1), models, max_size=3))
def test_models_come_back_from_their_text(found):
    assert read_fitted(tomllib.loads(fitted_text(found)), "here") == found


@pytest.mark.parametrize(
    "text",
    [
        "a = 1",
        '[a]\ntask = "t"',
        '[a]\ntask = "t"\nprotocol = "p"\nscores = { length = 1.0, variance = 1.0, noises = {} }',
        '[a]\ntask = "t"\nprotocol = "p"\nscores = { length = -1.0, variance = 1.0, noises = { 2 = 0.1 } }',
        '[a]\ntask = "t"\nprotocol = "p"\nscores = { length = inf, variance = 1.0, noises = { 2 = 0.1 } }',
        '[a]\ntask = "t"\nprotocol = "p"\nscores = { length = true, variance = 1.0, noises = { 2 = 0.1 } }',
        '[a]\ntask = "t"\nprotocol = "p"\nscores = { length = 1.0, variance = 1.0, noises = { deep = 0.1 } }',
        '[a]\ntask = "t"\nprotocol = "p"\nscores = 3',
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text):
    with pytest.raises(TableCorruptError, match="here: no hyperparameters"):
        read_fitted(tomllib.loads(text), "here")


def test_the_models_of_all_tasks_are_shipped_and_used(bench):
    shipped = read_fitted(read_shipped_toml(FITTED_FILE), FITTED_FILE)
    assert {(model.task, model.protocol) for model in shipped.values()} == {
        (task, DEFAULT_PROTOCOL) for task in (*GLUE_METRICS, "glue8")
    }
    for task in ("glue8", "rte"):
        model = bench.surrogate(task)
        assert model.fitted == shipped[model.facts].fitted


@pytest.mark.parametrize("task", ["glue8", *(pytest.param(task, marks=pytest.mark.slow) for task in GLUE_METRICS)])
def test_fitting_again_finds_the_shipped_model_and_its_predictions(bench, task):
    again = Surrogate(bench.trained(task))
    shipped = bench.surrogate(task)
    assert again.facts == shipped.facts
    for ours, theirs in ((again.fitted.scores, shipped.fitted.scores), (again.fitted.costs, shipped.fitted.costs)):
        assert (ours.length, ours.variance) == pytest.approx((theirs.length, theirs.variance), rel=1e-3)
        assert ours.noises == pytest.approx(theirs.noises, rel=1e-3)
    table = read_shipped(PREDICTED_G1, PREDICTIONS).to_pandas()
    rows = table[table["task"] == task].iloc[::10]
    cards = list(load_space("g1"))[::10]
    assert rows["hash"].tolist() == [card.hash for card in cards]
    found = shipped.predict(cards)
    assert np.abs(again.predict(cards).mean - found.mean).max() < 0.01
    for column in ("mean", "epistemic_std", "aleatoric_std"):
        assert np.abs(rows[column] - getattr(found, column)).max() < 6e-5  # four digits are shipped
    assert (rows["in_support"] == found.in_support).all()


def test_a_broken_file_of_a_store_is_one_line(tmp_path):
    Store(tmp_path).append([Training(card=ModelCard.named("bert-tiny"), protocol="p", scores={"rte": 60.0}, seed=1)])
    (tmp_path / "surrogate").mkdir()
    (tmp_path / "surrogate" / "models.toml").write_text("[broken")
    own = load_benchmark(store=tmp_path)
    with pytest.raises(TableCorruptError, match=r"models\.toml"):
        own.query("bert-mini", kind="surrogate")
