import dataclasses
import json
import math
import re
import shutil
import signal
import time
from multiprocessing import Pipe

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from flexnas_bench import ModelCard, Store, load_benchmark
from flexnas_bench.errors import DataError, ResultConflictError, RunMismatchError
from flexnas_bench.modeling import load_model
from flexnas_bench.training import backend as module
from flexnas_bench.training import pretraining
from flexnas_bench.training.backend import Backend
from flexnas_bench.training.donors import FACTS
from flexnas_bench.training.finetuning import Finetuner
from flexnas_bench.training.protocol import load_protocol
from flexnas_bench.training.workplace import JOURNAL, MODEL, TaskJournal, read_curves
from tests.conftest import SMALL
from tests.processes import Process

CARD = ModelCard.from_dict(SMALL)
TASKS = ["rte", "stsb", "wnli"]


def same(rows, others):
    """All that two trainings have in common: everything but seconds."""
    plain = [dataclasses.replace(row, pretrain_seconds=None, finetune_seconds=None) for row in rows]
    return plain == [dataclasses.replace(row, pretrain_seconds=None, finetune_seconds=None) for row in others]


@pytest.fixture
def make(small_data, small_protocol, tmp_path):
    def one(store="store", **options):
        return Backend(load_protocol(small_protocol), small_data, Store(tmp_path / store), **options)

    return one


def test_a_card_becomes_rows(make, tmp_path):
    backend = make()
    rows = backend.train(CARD, TASKS, tmp_path / "out", seed=3)
    bench = load_benchmark(store=tmp_path / "store")
    assert [next(iter(row.scores)) for row in rows] == TASKS
    for row in rows:
        ((task, value),) = row.scores.items()
        found = bench.query(CARD, task, "small")
        assert (found.value, found.origin, found.init, found.n) == (value, "measured", "scratch", 1)
        assert found.cost_seconds == pytest.approx(row.pretrain_seconds + row.finetune_seconds)
        assert not found.cost_assumed
        assert (row.seed, row.replicate, row.pretrain_steps) == (3, 3, 6)
        assert row.protocol_hash == backend.protocol.hash
        assert "torch" in row.packages
        assert re.fullmatch(rf"{torch.get_num_threads()} cores of \S.*", row.hardware)
    assert len({row.run_id for row in rows}) == len(TASKS)
    assert bench.protocols["small"]["summary"] == "to try things"


def test_its_folder_is_a_model_of_hugging_face(make, tmp_path):
    make(keep=True).train(CARD, ["mnli"], tmp_path / "out")
    folder = tmp_path / "out" / MODEL
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model(**tokenizer("a <mask> film", return_tensors="pt")).logits.shape == (1, 5, 50_265)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out" / "classifiers" / "mnli")
    assert classifier(**tokenizer("a", "b", return_tensors="pt")).logits.shape == (1, 3)
    assert "pre-trained under protocol small, seed 0" in (folder / "README.md").read_text()


def test_a_kept_classifier_has_the_score_that_is_told(make, tmp_path):
    backend = make(keep=True)
    (row,) = backend.train(CARD, ["rte"], tmp_path / "out")
    classifier = load_model(tmp_path / "out" / "classifiers" / "rte").eval()
    _, development = backend.materials.task("rte")
    with torch.no_grad():
        right = [
            int(classifier(torch.tensor([ids])).logits.argmax()) == label
            for ids, label in zip(development.ids, development.labels, strict=True)
        ]
    assert row.scores["rte"] == pytest.approx(100 * np.mean(right))


def test_nothing_finished_is_trained_again(make, tmp_path, monkeypatch):
    whole = make("another").train(CARD, TASKS, tmp_path / "whole")
    make().train(CARD, TASKS[:1], tmp_path / "out")
    before = (tmp_path / "out" / MODEL / FACTS).read_bytes()
    trained = []
    real = Finetuner.run
    monkeypatch.setattr(Finetuner, "run", lambda self, *some: trained.append(self._task.name) or real(self, *some))
    rows = make().train(CARD, TASKS, tmp_path / "out")
    assert trained == TASKS[1:]
    assert same(rows, whole)
    assert (tmp_path / "out" / MODEL / FACTS).read_bytes() == before
    assert make().train(CARD, TASKS, tmp_path / "out") == rows
    assert [row["task"] for row in Store(tmp_path / "store").rows()] == TASKS  # each once


def test_a_store_has_a_training_once(make, tmp_path):
    make().train(CARD, ["rte"], tmp_path / "one")
    with pytest.raises(ResultConflictError, match=r"has rte of card .* and seed 0 already, from another"):
        make().train(CARD, ["stsb", "rte"], tmp_path / "two")
    assert not (tmp_path / "two" / MODEL).exists()
    assert len(Store(tmp_path / "store").rows()) == 1


def test_seeds_are_replicates(make, tmp_path):
    values = [make().train(CARD, ["stsb"], tmp_path / str(seed), seed)[0].scores["stsb"] for seed in range(2)]
    found = load_benchmark(store=tmp_path / "store").query(CARD, "stsb", "small")
    assert found.n == 2
    assert found.value == pytest.approx(sum(values) / 2)
    assert values[0] != values[1]


def deeper():
    """Four layers that begin as those of the small card."""
    doubled = {name: SMALL[name] * 2 for name in "ohnfp"}
    return ModelCard.from_dict({"l": 4, **doubled})


def test_weights_come_from_the_nearest_neighbour(make, tmp_path):
    make().train(CARD, ["rte"], tmp_path / "trained" / "small")
    make().train(deeper(), ["rte"], tmp_path / "trained" / "deeper")
    begun = ModelCard(CARD.layers[:1])
    (row,) = make().train(begun, ["rte"], tmp_path / "begun", donors=[tmp_path / "trained"])
    assert row.init in (CARD.hash, deeper().hash)
    donor = load_model(tmp_path / "trained" / ("small" if row.init == CARD.hash else "deeper") / MODEL)
    mine = load_model(tmp_path / "begun" / MODEL)
    torch.testing.assert_close(mine.encoder.layers[0].state_dict(), donor.encoder.layers[0].state_dict())
    torch.testing.assert_close(mine.lm_head.state_dict(), donor.lm_head.state_dict())
    facts = json.loads((tmp_path / "trained" / "small" / MODEL / FACTS).read_bytes())
    if row.init == CARD.hash:
        assert row.pretrain_seconds == facts["seconds"]
    found = load_benchmark(store=tmp_path / "store").query(begun, "rte", "small", init=row.init)
    assert found.cost_seconds == pytest.approx(row.finetune_seconds)  # the pre-training was saved
    assert read_curves(tmp_path / "begun").transferred


def test_too_far_a_neighbour_is_no_donor(make, tmp_path):
    make().train(CARD, ["rte"], tmp_path / "trained" / "small")
    (row,) = make().train(deeper(), ["rte"], tmp_path / "deeper", donors=[tmp_path / "trained"])
    assert row.init == "scratch"
    (row,) = make(overlap=0.5).train(deeper(), ["rte"], tmp_path / "half", donors=[tmp_path / "trained"], seed=1)
    assert row.init == CARD.hash


def test_transferred_models_are_no_donors(make, tmp_path):
    make().train(CARD, ["rte"], tmp_path / "first")
    make().train(ModelCard(CARD.layers[:1]), ["rte"], tmp_path / "second", donors=[tmp_path / "first"])
    (row,) = make().train(ModelCard(CARD.layers[:1]), ["rte"], tmp_path / "third", donors=[tmp_path / "second"])
    assert row.init == "scratch"


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_pretraining_that_diverges_is_a_result(make, tmp_path):
    backend = make()
    wild = dataclasses.replace(backend.protocol.pretraining, steps=40, learning_rate=1e38, gradient_norm=0.0)
    backend.protocol = dataclasses.replace(backend.protocol, pretraining=wild)
    backend.materials._protocol = backend.protocol
    rows = backend.train(CARD, ["rte", "stsb"], tmp_path / "out")
    assert all(math.isnan(value) for row in rows for value in row.scores.values())
    assert all("pre-training: no finite loss" in row.note for row in rows)
    assert len(Store(tmp_path / "store").rows()) == 2


def test_a_task_that_diverges_is_a_result(make, tmp_path):
    backend = make()
    wild = dataclasses.replace(backend.protocol.finetuning["rte"], learning_rate=1e30, gradient_norm=0.0)
    finetuning = {**backend.protocol.finetuning, "rte": wild}
    backend.protocol = dataclasses.replace(backend.protocol, finetuning=finetuning)
    rows = backend.train(CARD, ["rte", "stsb"], tmp_path / "out")
    assert math.isnan(rows[0].scores["rte"])
    assert "step" in rows[0].note
    assert not math.isnan(rows[1].scores["stsb"])
    again = make()
    again.protocol = backend.protocol
    assert repr(again.train(CARD, ["rte", "stsb"], tmp_path / "out")) == repr(rows)  # in which NaN equals NaN


def test_tuning_goes_on_where_it_was(make, tmp_path):
    def tuned():
        backend = make()
        settings = dataclasses.replace(backend.protocol.finetuning["rte"], trials=4, batch_sizes=(8, 16))
        finetuning = {**backend.protocol.finetuning, "rte": settings}
        backend.protocol = dataclasses.replace(backend.protocol, finetuning=finetuning)
        backend.store = None
        return backend

    rows = tuned().train(CARD, ["rte"], tmp_path / "out")
    journal = tmp_path / "out" / JOURNAL
    lines = journal.read_text().splitlines()
    records = TaskJournal.read(journal)
    assert ["trial" in one for one in records] == [True] * 4 + [False]
    best = max(records[:4], key=lambda one: max(one["trial"]["scores"]))["trial"]
    assert rows[0].scores["rte"] == max(best["scores"])
    assert rows[0].finetune_seconds > sum(one["trial"]["seconds"] for one in records[:4])
    shutil.copytree(tmp_path / "out", tmp_path / "cut")
    (tmp_path / "cut" / JOURNAL).write_text("\n".join(lines[:2]) + "\n" + lines[2][:20])
    assert same(tuned().train(CARD, ["rte"], tmp_path / "cut"), rows)


def test_what_is_missing_is_missed_before_anything_is_trained(make, small_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(small_data, data, symlinks=True)
    shutil.rmtree(data / "glue" / "stsb")
    backend = make()
    backend.materials._data = data
    with pytest.raises(DataError, match=r"glue/stsb/train\.parquet: no such file"):
        backend.train(CARD, TASKS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_of_another_size_needs_another_protocol(small_data, tmp_path):
    backend = Backend(load_protocol("cpu-lite"), small_data)
    with pytest.raises(DataError, match="rte has 40 training and 40 development examples here, and 2,490"):
        backend.train(CARD, ["rte"], tmp_path / "out")


def test_a_folder_is_of_one_training(make, tmp_path):
    make().train(CARD, ["rte"], tmp_path / "out")
    with pytest.raises(RunMismatchError, match="another training: its seed is 0, not 1"):
        make().train(CARD, ["rte"], tmp_path / "out", seed=1)
    with pytest.raises(RunMismatchError, match="another training: its card"):
        make().train(deeper(), ["rte"], tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(RunMismatchError, match="holds no training"):
        make().train(CARD, ["rte"], tmp_path / "mine")


def test_a_store_has_one_recipe_under_a_name(make, small_data, small_protocol, tmp_path):
    make().train(CARD, ["rte"], tmp_path / "out")
    small_protocol.write_text(small_protocol.read_text().replace("steps = 6", "steps = 7"))
    with pytest.raises(ResultConflictError, match="scores of protocol small under other settings"):
        make().train(CARD, ["rte"], tmp_path / "other")


def test_a_full_disk_loses_nothing_that_is_finished(make, tmp_path, monkeypatch):
    whole = make("another").train(CARD, TASKS, tmp_path / "whole")
    real, times = TaskJournal.append, []

    def full(self, *records):
        times.append(1)
        if len(times) == 2:
            raise OSError(28, "No space left on device", str(self.path))
        real(self, *records)

    monkeypatch.setattr(TaskJournal, "append", full)
    with pytest.raises(OSError, match="No space left"):
        make().train(CARD, TASKS, tmp_path / "out")
    assert [row["task"] for row in Store(tmp_path / "store").rows()] == TASKS[:1]
    assert same(make().train(CARD, TASKS, tmp_path / "out"), whole)
    assert [row["task"] for row in Store(tmp_path / "store").rows()] == TASKS


def train_in_one_thread(data, protocol, out, tell=None):
    """With a checkpoint after every step."""
    threads, interval = torch.get_num_threads(), pretraining.INTERVAL
    torch.set_num_threads(1)
    pretraining.INTERVAL = 0.0
    try:
        backend = Backend(load_protocol(protocol), data, Store(out.with_name(out.name + "-store")))
        backend.train(CARD, TASKS, out, progress=tell and (lambda *some: tell.send(";".join(map(str, some)))))
    finally:
        torch.set_num_threads(threads)
        pretraining.INTERVAL = interval


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("pre-training;3", marks=pytest.mark.slow),  # as test_pretraining.py has it
        "stsb;2",
        pytest.param("rte;1", marks=pytest.mark.slow),
        pytest.param("wnli;2", marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_ends_as_another(small_data, small_protocol, tmp_path, place):
    """Killed in pre-training, in fine-tuning, and while the results of a task are written."""
    told, tell = Pipe(duplex=False)
    process = Process(target=train_in_one_thread, args=(small_data, small_protocol, tmp_path / "killed", tell))
    process.start()
    tell.close()
    while not told.recv().startswith(place):
        pass
    time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    left = Store(tmp_path / "killed-store").rows() if (tmp_path / "killed-store" / "store.toml").exists() else []
    for out in ("killed", "whole"):
        train_in_one_thread(small_data, small_protocol, tmp_path / out)
    found, expected = (Store(tmp_path / f"{out}-store").rows() for out in ("killed", "whole"))
    assert found[: len(left)] == left
    seconds = {"pretrain_seconds": None, "finetune_seconds": None}
    assert [row | seconds for row in found] == [row | seconds for row in expected]
    weights = [(tmp_path / out / MODEL / "model.safetensors").read_bytes() for out in ("killed", "whole")]
    assert weights[0] == weights[1]


def test_points_of_a_curve_are_means():
    losses = list(map(float, range(1_203)))
    found = module._thinned(losses)
    assert len(found) == 500
    assert found[-1][0] == 1_203
    ends = [end for end, _ in found]
    means = [np.mean(losses[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    np.testing.assert_allclose([value for _, value in found], means)
    assert module._thinned([]) == []
    assert [end for end, _ in module._thinned([1.0, math.nan, 3.0])] == [1, 3]
