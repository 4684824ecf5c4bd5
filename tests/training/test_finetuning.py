import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from flexnas_bench import ModelCard
from flexnas_bench.modeling import FlexiBertConfig, FlexiBertForSequenceClassification
from flexnas_bench.modeling.folder import load_tokenizer
from flexnas_bench.training.examples import Encoded, encode
from flexnas_bench.training.finetuning import Finetuner
from flexnas_bench.training.glue import TASKS, Task, read_task
from flexnas_bench.training.optimization import adamw
from flexnas_bench.training.recipe import Finetuning
from flexnas_bench.training.vocabulary import TaskVocabulary
from tests.conftest import SMALL

FACTS = {"epochs": 3, "batch_size": 8, "learning_rate": 2e-3}


@pytest.fixture(scope="module")
def tokenizer(data):
    return load_tokenizer(data / "roberta_tokenizer")


def planted(n, seed=0, words=200):
    """Examples whose class is whether a word occurs."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    ids = [[0, *rng.integers(10, words, rng.integers(3, 12)).tolist(), 7 if label else 8, 2] for label in labels]
    return Encoded(ids, labels)


def finetuner(task=TASKS["sst2"], training=None, development=None, seed=0, words=300, **changes):
    settings = Finetuning.read(FACTS | changes)
    training = planted(48) if training is None else training
    torch.manual_seed(seed)
    config = FlexiBertConfig(
        SMALL,
        vocab_size=words,
        num_labels=task.labels,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
    )
    model = FlexiBertForSequenceClassification(config)
    return Finetuner(model, task, training, development or planted(40, 1), settings, seed)


@pytest.mark.parametrize(
    "name",  # classes of two sentences, and a number; tests below have classes of one
    [name if name in ("mnli", "stsb") else pytest.param(name, marks=pytest.mark.slow) for name in TASKS],
)
def test_a_tiny_model_learns_32_examples_of_every_task_by_heart(data, tokenizer, name):
    task = TASKS[name]
    some = encode(read_task(task, data)[0].subset(32, 0), tokenizer, 64)
    one = finetuner(task, some, some, words=50_265, epochs=40, batch_size=8, learning_rate=5e-3, dropout=0.0)
    found = one.run()
    assert found.score > 99
    assert found.losses[-1] < 0.2 * found.losses[0]
    assert not found.why


def test_the_same_seed_gives_the_same_score():
    first, second = finetuner(seed=3), finetuner(seed=3)
    found, again = first.run(), second.run()
    assert (found.scores, found.losses) == (again.scores, again.losses)
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict(), atol=0, rtol=0)
    assert finetuner(seed=4).run().losses != found.losses


def test_words_of_the_task_alone_train_as_all_of_them_would():
    """Beside a plain loop over the whole vocabulary, whose other words have no gradient and here no decay."""
    one = finetuner(dropout=0.0, weight_decay=0.0, gradient_norm=0.0, warmup=0.0, epochs=1)
    torch.manual_seed(0)
    plain = FlexiBertForSequenceClassification(one.model.config)
    plain.load_state_dict(
        one.model.state_dict() | {"encoder.embeddings.word_embeddings.weight": one._vocabulary.all_words.weight}
    )
    optimizer = adamw(plain, one._settings)
    one._epoch(1)
    with one._vocabulary.whole():
        found = {name: value.clone() for name, value in one.model.state_dict().items()}
    for step, (ids, mask, labels) in enumerate(one._training.shuffled(8, 0, 1)):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (6 - step) / 6
        cross_entropy(plain(ids, mask).logits, torch.from_numpy(labels)).backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close(found, plain.state_dict(), atol=1e-5, rtol=1e-4)


def test_words_that_the_task_lacks_stay_as_they_are():
    one = finetuner()
    before = one._vocabulary.all_words.weight.detach().clone()
    one.run()
    after = one.model.get_input_embeddings().weight
    missing = sorted(set(range(300)) - {word for ids in one._training.ids for word in ids})
    assert 100 < len(missing) < 300
    assert after.shape == before.shape
    torch.testing.assert_close(after[missing], before[missing], atol=0, rtol=0)
    assert not torch.equal(after[7], before[7])


def test_a_vocabulary_without_padding_takes_padded_batches():
    model = finetuner().model
    vocabulary = TaskVocabulary(model, np.array([0, 2, 7, 8]))
    ids, mask = torch.tensor([[0, 7, 2], [0, 2, 1]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    found = model.eval()(vocabulary.places(ids), mask).logits
    with vocabulary.whole():
        torch.testing.assert_close(found, model(ids, mask).logits)


class Scored(Task):
    """A task whose scores are given."""

    def score(self, logits, labels):
        return GIVEN.pop(0)


GIVEN: list[float] = []


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best"),
    [
        ([1.0, 3.0, 2.0, 2.5, 9.0], 2, 4, 3.0),
        ([1.0, 3.0, 2.0, 3.5, 2.0], 2, 5, 3.5),
        ([1.0, 3.0, 2.0, 2.0, 9.0], 0, 5, 9.0),
        ([math.nan, -5.0, math.nan, math.nan, 1.0], 2, 4, -5.0),
        ([math.nan] * 5, 0, 5, math.nan),
    ],
)
def test_it_stops_early_and_keeps_the_best_model(scores, patience, epochs, best):
    GIVEN[:] = scores
    one = finetuner(Scored("sst2", ("sentence",)), epochs=5, patience=patience)
    kept = {}

    def look(epoch, score):
        with one._vocabulary.whole():
            kept[score] = {name: value.clone() for name, value in one.model.state_dict().items()}

    found = one.run(look)
    assert len(found.scores) == len(found.losses) == epochs
    np.testing.assert_equal(found.score, best)
    if math.isnan(best):
        assert "no epoch has a score" in found.why
    else:
        torch.testing.assert_close(one.model.state_dict(), kept[best], atol=0, rtol=0)


def test_a_training_that_diverges_says_why():
    found = finetuner(learning_rate=1e30, gradient_norm=0.0, warmup=0.0).run()
    assert math.isnan(found.score)
    assert "step" in found.why
    assert "nan" in found.why


def test_a_regression_begins_at_the_mean():
    labels = np.linspace(0, 5, 32).astype(np.float32)
    one = finetuner(TASKS["stsb"], Encoded(planted(32).ids, labels), Encoded(planted(32).ids, labels))
    assert one.model.classifier.out_proj.bias.item() == pytest.approx(2.5)
    assert one.run().losses[0] < 4  # from 0 it would be 8.5


def test_predictions_are_in_the_order_of_the_examples():
    one, examples = finetuner(), planted(300, 5)
    with one._vocabulary.whole(), torch.no_grad():
        found = one.predict(examples)
        for i in range(0, 300, 37):
            alone = one.model(torch.tensor([examples.ids[i]])).logits[0].numpy()
            np.testing.assert_allclose(found[i], alone, atol=1e-5)


def test_examples_have_the_marks_of_the_tokenizer(data, tokenizer):
    for name in ("sst2", "mrpc"):
        examples = read_task(TASKS[name], data)[1].subset(50, 0)
        found = encode(examples, tokenizer, 24)
        assert max(found.lengths) <= 24
        for i, ids in enumerate(found.ids):
            assert (ids[0], ids[-1]) == (0, 2)
            if len(ids) < 24:
                whole = "".join(column[i] for column in examples.sentences)
                assert tokenizer.decode(ids, skip_special_tokens=True) == whole
            assert ids.count(2) == (1 if name == "sst2" else 3)


def test_a_card_is_what_is_trained():
    assert finetuner().model.config.model_card == ModelCard.from_dict(SMALL)
