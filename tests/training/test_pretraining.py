import time
from multiprocessing import Pipe

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import EncoderLayer, ModelCard, OptionError
from flexnas_bench.modeling import FlexiBertConfig, FlexiBertForMaskedLM
from flexnas_bench.training import pretraining
from flexnas_bench.training.batches import MaskedBatches
from flexnas_bench.training.corpus import Corpus
from flexnas_bench.training.optimization import adamw, rate
from flexnas_bench.training.pretraining import CHECKPOINT, Pretrainer
from flexnas_bench.training.recipe import Pretraining, digest
from tests.processes import Process

CARD = ModelCard(
    (
        EncoderLayer("SA", "WMA", 16, 2, (24,)),
        EncoderLayer("LT", "DFT", 16, 2, (24, 20)),
        EncoderLayer("DSC", 5, 24, 2, (24,)),
    )
)
VOCABULARY = 50_265
FACTS = {"corpus": ["text"], "steps": 8, "batch_size": 4, "length": 12, "learning_rate": 1e-3, "warmup_steps": 2}


def settings(**changes):
    return Pretraining.read(FACTS | changes)


def trainer(folder, seed=3, **changes):
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(FlexiBertConfig(CARD, max_position_embeddings=16))
    recipe = settings(**changes)
    text = np.random.default_rng(0).integers(3, 60, 2000).astype(np.uint16)
    batches = MaskedBatches(Corpus((text,)), recipe.length, recipe.batch_size, seed, VOCABULARY, recipe.masked)
    return Pretrainer(model, recipe, batches, folder)


def state(one):
    return {name: value.clone() for name, value in one.model.state_dict().items()}


def test_an_interrupted_run_ends_with_the_very_weights_of_another(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.run()

    class Interrupted(Exception):  # noqa: N818 - no error
        pass

    def stop(step):
        if step == 5:
            parted.save()
        if step == 6:  # a step after the checkpoint is lost
            raise Interrupted

    parted = trainer(tmp_path / "parted")
    with pytest.raises(Interrupted):
        parted.run(stop)
    again = trainer(tmp_path / "parted")
    assert again.step == 5
    again.run()
    assert again.losses == whole.losses
    torch.testing.assert_close(state(again), state(whole), atol=0, rtol=0)


def train_and_tell(folder, tell):
    pretraining.INTERVAL = 0.0
    trainer(folder, steps=15).run(tell.send)


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_killed_process_goes_on(tmp_path, after):
    """Killed without warning, at any moment of a step or of writing a checkpoint, which there is after every step."""
    told, tell = Pipe(duplex=False)
    process = Process(target=train_and_tell, args=(tmp_path / "killed", tell))
    process.start()
    tell.close()
    while told.recv() < after:
        pass
    time.sleep(0.003 * after)
    process.kill()
    process.join()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole, again = trainer(tmp_path / "whole", steps=15), trainer(tmp_path / "killed", steps=15)
    assert again.step >= after  # what was finished is not done again
    whole.run()
    again.run()
    torch.set_num_threads(threads)
    assert again.losses == whole.losses
    torch.testing.assert_close(state(again), state(whole), atol=0, rtol=0)


def test_a_checkpoint_of_another_training_counts_as_none(tmp_path):
    trainer(tmp_path).run()
    assert trainer(tmp_path).step == 8
    assert trainer(tmp_path, seed=4).step == 0
    assert trainer(tmp_path, learning_rate=2e-3).step == 0


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: b"", lambda content: b"\xff" * 99])
def test_a_damaged_checkpoint_counts_as_none(tmp_path, damage):
    trainer(tmp_path).run()
    path = tmp_path / CHECKPOINT
    path.write_bytes(damage(path.read_bytes()))
    assert trainer(tmp_path).step == 0


def test_a_disk_that_takes_no_more_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    first = trainer(tmp_path)
    first.run()

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(pretraining, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        first.save()
    assert trainer(tmp_path).step == 8


def test_losses_are_those_of_the_model_itself(tmp_path):
    one = trainer(tmp_path)
    one.model.eval()
    ids, labels = one.batches[0]
    expected = one.model(ids, labels=labels).loss
    told = (labels != -100).sum()
    torch.testing.assert_close(one._loss(ids, labels) / told, expected)


def test_micro_batches_add_up(tmp_path):
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    states = []
    for i, size in enumerate((0, 1, 3)):
        one = trainer(tmp_path / str(i), micro_batch_size=size)
        for module in one.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for name, value in quiet.items():
            setattr(one.model.config, name, value)
        one.run()
        states.append(state(one))
    for other in states[1:]:
        torch.testing.assert_close(other, states[0], atol=1e-5, rtol=1e-4)


def test_a_model_learns_to_look_at_the_other_words(tmp_path):
    torch.manual_seed(0)
    card = ModelCard((EncoderLayer("SA", "SDP", 32, 2, (64,)),) * 2)
    model = FlexiBertForMaskedLM(FlexiBertConfig(card, max_position_embeddings=16))
    text = np.tile(np.repeat(np.arange(10, 30), 10), 6).astype(np.uint16)  # a block says one of 20 words ten times
    recipe = settings(steps=90, batch_size=32, learning_rate=1e-2, warmup_steps=10)
    one = Pretrainer(model, recipe, MaskedBatches(Corpus((text,)), 12, 32, 0, VOCABULARY), tmp_path)
    one.run()
    assert one.losses[0] > 10
    assert np.mean(one.losses[-20:]) < 2.0  # the frequencies of words alone give log 20, 3.0


def test_a_step_that_is_not_finite_changes_nothing(tmp_path):
    one = trainer(tmp_path)
    before = state(one)
    with torch.no_grad():
        one.model.lm_head.norm.weight.fill_(float("nan"))
    loss = one._train()
    assert np.isnan(loss)
    after = state(one)
    same = [name for name in before if "lm_head.norm.weight" not in name]
    torch.testing.assert_close([after[name] for name in same], [before[name] for name in same], atol=0, rtol=0)


@pytest.mark.parametrize("step", [0, 1, 4, 9])
def test_adamw_is_that_of_the_formula(step):
    """Loshchilov and Hutter (2019), algorithm 2, for a matrix and a bias."""
    torch.manual_seed(1)
    model = torch.nn.Linear(3, 2).double()
    optimizer = adamw(model, settings())
    expected = {name: value.detach().clone() for name, value in model.named_parameters()}
    first, second = ({name: torch.zeros_like(value) for name, value in expected.items()} for _ in range(2))
    for t in range(1, step + 2):
        for name, value in model.named_parameters():
            g = value.grad = torch.randn_like(value)
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.98 * second[name] + 0.02 * g * g
            if name == "weight":
                expected[name] = expected[name] * (1 - 1e-3 * 0.01)
            m, v = first[name] / (1 - 0.9**t), second[name] / (1 - 0.98**t)
            expected[name] = expected[name] - 1e-3 * m / (v.sqrt() + 1e-6)
        optimizer.step()
    torch.testing.assert_close(dict(model.named_parameters()), expected)


@given(steps=st.integers(1, 200), warmup=st.integers(0, 50))
def test_the_rate_rises_to_its_peak_and_falls_to_nothing(steps, warmup):
    rates = [rate(step, steps, warmup, 2.0) for step in range(steps)]
    assert all(0 < one <= 2 for one in rates)
    if steps > warmup:
        assert max(rates) == 2
        assert rates[max(warmup - 1, 0)] == 2 or warmup == 0
        assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
        assert rates[-1] == pytest.approx(2 / (steps - warmup))
    assert rates[:warmup] == sorted(rates[:warmup])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps": -1}, "steps: -1"),
        ({"steps": 1.5}, r"steps: 1\.5"),
        ({"steps": True}, "steps: True"),
        ({"length": 2}, "length: 2"),
        ({"corpus": "text"}, "corpus: 'text'"),
        ({"precision": "float8"}, "precision: 'float8'"),
        ({"epochs": 3}, "epochs: no setting of pretraining; there are corpus, steps"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(changes, reason):
    with pytest.raises(OptionError, match=reason):
        settings(**changes)


def test_a_recipe_needs_its_settings():
    with pytest.raises(OptionError, match="batch_size: missing"):
        Pretraining.read({name: value for name, value in FACTS.items() if name != "batch_size"})


def test_a_digest_is_that_of_the_settings():
    assert (
        digest(settings())
        == digest(settings(weight_decay=0.01))
        == digest(Pretraining.read(dict(reversed(FACTS.items()))))
    )
    assert digest(settings()) != digest(settings(weight_decay=0.02))
    assert digest(settings(learning_rate=1)) == digest(settings(learning_rate=1.0))
