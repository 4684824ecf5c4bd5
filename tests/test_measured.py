import shutil

import pytest

from flexnas_bench import ModelCard, OptionError, ResultConflictError, Store, Training, storage
from flexnas_bench.measured import import_measured
from flexnas_bench.records import tables_of
from flexnas_bench.results import RESULTS, RUNS_TRAINED
from flexnas_bench.shipped import read_trainings, training_tables
from flexnas_bench.training.protocol import load_protocol
from flexnas_bench.verification import verify_tables

pytestmark = pytest.mark.usefixtures("hardly_compressed")
DEEP = ModelCard.from_dict({"l": 1, "o": ["LT"], "h": [64], "n": [4], "f": [[96]], "p": ["DFT"]})
ROW = {"protocol": "cpu-lite", "protocol_hash": load_protocol("cpu-lite").hash, "hardware": "1 core", "replicate": 7}


def training(task="rte", value=55.5, card=DEEP, **facts):
    return Training(card=card, scores={task: value}, run_id=f"{card.hash[:8]}-{task}", **(ROW | facts))


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(storage.data_folder(), tmp_path / "data")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.append([training(), training("wnli", float("nan"), note="diverged"), training(protocol="own")])
    return store


def test_the_shipped_trainings_are_read_back_as_they_are():
    data = storage.data_folder()
    runs, results = tables_of(read_trainings(data))
    assert runs == storage.read_parquet(data / "runs_trained.parquet", RUNS_TRAINED)
    assert results == storage.read_parquet(data / "results.parquet", RESULTS)


def test_measured_scores_come_beside_the_published_ones(folder, store, some_cards):
    assert import_measured(store, "cpu-lite", folder) == 2
    before, after = read_trainings(storage.data_folder()), read_trainings(folder)
    assert repr([one for one in after if one.replicate != 7]) == repr(before), "as text, so that NaN equals NaN"
    new = [one for one in after if one.replicate == 7]
    assert [(one.card, one.source, one.origin, one.protocol) for one in new] == [
        (DEEP, "flexnas-bench", "measured", "cpu-lite")
    ] * 2
    assert all(not check.problems for check in verify_tables(folder))
    assert import_measured(store, "cpu-lite", folder) == 0
    assert len(read_trainings(folder)) == len(after)


def test_it_is_refused_before_anything_is_written(folder, store, tmp_path):
    import_measured(store, "cpu-lite", folder)
    before = {path: path.read_bytes() for path in folder.glob("*.parquet")}
    other = Store(tmp_path / "other")
    other.append([training(value=55.6)])
    with pytest.raises(ResultConflictError, match="another training of card"):
        import_measured(other, "cpu-lite", folder)
    with pytest.raises(OptionError, match="no measured score of protocol gpu-lite"):
        import_measured(store, "gpu-lite", folder)
    with pytest.raises(OptionError, match="does not describe own"):
        import_measured(store, "own", folder)
    changed = Store(tmp_path / "changed")
    changed.append([training("cola", protocol_hash="cd" * 32)])
    with pytest.raises(ResultConflictError, match="other settings"):
        import_measured(changed, "cpu-lite", folder)
    assert {path: path.read_bytes() for path in folder.glob("*.parquet")} == before


def test_tables_of_trainings_have_their_cards_and_all_of_g1():
    cards = training_tables([training()])["architectures.parquet"].to_pylist()
    assert sum(row["g1_index"] is not None for row in cards) == len(cards) - 1
    assert cards[-1]["hash"] == DEEP.hash


def test_a_training_with_several_tasks_stays_one(folder, tmp_path):
    store = Store(tmp_path / "several")
    store.append([Training(card=DEEP, scores={"rte": 51.0, "cola": 2.0}, **ROW)])
    assert import_measured(store, "cpu-lite", folder) == 1
    assert import_measured(store, "cpu-lite", folder) == 0
    (new,) = [one for one in read_trainings(folder) if one.replicate == 7]
    assert new.scores == {"rte": 51.0, "cola": 2.0}
