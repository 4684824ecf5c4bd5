import copy
import json

import pytest
import torch
from hypothesis import given, settings
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    pipeline,
)

from flexnas_bench import EncoderLayer, InvalidCardError, ModelCard, load_space
from flexnas_bench.modeling import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
)
from flexnas_bench.named import NAMED_CARDS
from tests.conftest import any_cards
from tests.modeling.conftest import OPERATIONS, initialised, small_cards, small_config, space_cards

ALL = ModelCard(tuple(EncoderLayer(*op, 8 * (1 + i % 2), 2, (6, 5)[: 1 + i % 2]) for i, op in enumerate(OPERATIONS)))
CLASSES = [FlexiBertModel, FlexiBertForMaskedLM, FlexiBertForSequenceClassification]


def count(card):
    with torch.device("meta"):
        model = FlexiBertForMaskedLM(FlexiBertConfig(card))
    return sum(value.numel() for value in model.parameters())  # those that are tied once


@given(any_cards)
def test_parameters_of_a_card_are_those_of_its_model(card):
    assert count(card) == card.parameters


@given(space_cards)
def test_parameters_of_the_papers_spaces_are_those_of_their_models(card):
    assert count(card) == card.parameters


@pytest.mark.parametrize("name", NAMED_CARDS)
def test_parameters_of_the_family_are_those_of_their_models(name):
    assert count(ModelCard.named(name)) == ModelCard.named(name).parameters


#: Millions of parameters as the paper prints them (Tables 3 and 4), and how far ours may be off.
@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("bert-mini", 16.6),
        ("flexibert-mini", 16.1),
        ("flexibert-mini-without-second-order", 7.2),
        ("flexibert-mini-without-heteroscedasticity", 20),
        ("flexibert-large", 319),
    ],
)
def test_the_family_is_as_large_as_the_paper_says(name, printed):
    assert ModelCard.named(name).parameters / 1e6 == pytest.approx(printed, rel=0.015)


@pytest.mark.parametrize("path", ["eager", "sdpa"])
@given(card=small_cards)
@settings(max_examples=25)
def test_a_sentence_is_the_same_alone_and_padded(padded, path, card):
    ids, mask = padded
    model = initialised(FlexiBertForMaskedLM, small_config(card, attn_implementation=path))
    together = model(ids, mask).logits
    for row, n in enumerate(mask.sum(1).tolist()):
        torch.testing.assert_close(together[row, :n], model(ids[row : row + 1, :n]).logits[0])


@given(card=space_cards)
@settings(max_examples=12)
def test_cards_of_the_papers_spaces_do_not_see_padding(padded, card):
    """In float32, and from the left too."""
    ids, mask = padded
    torch.manual_seed(0)
    model = FlexiBertModel(small_config(card)).eval()
    together, left = (model(*(x.flip(1) if flip else x for x in (ids, mask))).last_hidden_state for flip in (0, 1))
    for row, n in enumerate(mask.sum(1).tolist()):
        alone = model(ids[row : row + 1, :n]).last_hidden_state[0]
        torch.testing.assert_close(together[row, :n], alone, atol=1e-5, rtol=1e-5)
        backwards = model(ids[row : row + 1, :n].flip(1)).last_hidden_state[0]
        torch.testing.assert_close(left[row, 7 - n :], backwards, atol=1e-5, rtol=1e-5)


@given(card=small_cards)
@settings(max_examples=25)
def test_a_sentence_does_not_depend_on_its_batch(padded, card):
    ids, mask = padded
    model = initialised(FlexiBertForSequenceClassification, small_config(card))
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(model(ids, mask).logits[order], model(ids[order], mask[order]).logits)


@given(card=small_cards)
@settings(max_examples=20)
def test_what_is_at_padding_has_no_derivative(padded, card):
    ids, mask = padded
    model = initialised(FlexiBertModel, small_config(card))
    words = model.embeddings.word_embeddings(ids).detach().requires_grad_()
    found = model(inputs_embeds=words, attention_mask=mask).last_hidden_state
    (slope,) = torch.autograd.grad(found[mask.bool()].square().sum(), words)
    assert not slope[~mask.bool()].any()
    assert slope[0, 0].any() or min(layer.hidden for layer in card.layers) <= 2  # where norms are constant


@pytest.mark.parametrize("name", ["g1", "g2", "g3"])
def test_both_ways_of_attention_are_one(padded, name):
    ids, mask = padded
    for card in load_space(name).sample(2, seed=5):
        models = [
            initialised(FlexiBertForMaskedLM, small_config(card, attn_implementation=path))
            for path in ("eager", "sdpa")
        ]
        losses = [model(ids, mask, labels=ids).loss for model in models]
        torch.testing.assert_close(*losses)
        slopes = [
            torch.autograd.grad(loss, list(model.parameters())) for loss, model in zip(losses, models, strict=True)
        ]
        torch.testing.assert_close(*slopes)


@given(card=small_cards)
@settings(max_examples=10)
def test_autocast_to_bfloat16_is_the_same_but_for_digits(padded, card):
    ids, mask = padded
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(small_config(card)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = model(ids, mask, labels=ids)
    wide = model(ids, mask, labels=ids)
    assert narrow.logits.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.logits.float(), wide.logits, atol=0.1, rtol=0.1)
    narrow.loss.backward()
    assert all(value.grad.isfinite().all() for value in model.parameters())


def test_a_model_in_bfloat16_runs(padded):
    ids, mask = padded
    model = FlexiBertForMaskedLM(small_config(ALL)).to(torch.bfloat16)
    model(ids, mask, labels=ids).loss.backward()
    assert model.eval()(ids).logits.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("backend", "masked"),  # "eager" captures the graph, which is what fails where code cannot be compiled
    [("eager", True), *(pytest.param("aot_eager", masked, marks=pytest.mark.slow) for masked in (True, False))],
)
def test_compiled_is_eager(padded, backend, masked):
    ids, mask = padded
    model = initialised(FlexiBertForMaskedLM, small_config(ALL))
    compiled = torch.compile(copy.deepcopy(model), backend=backend, fullgraph=True)
    found, expected = (one(ids, mask if masked else None, labels=ids) for one in (compiled, model))
    torch.testing.assert_close(found.logits, expected.logits)
    found.loss.backward()
    expected.loss.backward()
    slopes = [[value.grad for value in one.parameters()] for one in (compiled, model)]
    torch.testing.assert_close(*slopes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns of itself
@pytest.mark.parametrize("name", ["g1", "g2", "g3"])
def test_compiled_to_machine_code_is_eager(padded, name):
    ids, mask = padded
    for card in [ALL, *load_space(name).sample(2, seed=1)]:
        torch.compiler.reset()
        model = initialised(FlexiBertForMaskedLM, small_config(card))
        torch.testing.assert_close(torch.compile(model, fullgraph=True)(ids, mask).logits, model(ids, mask).logits)


@given(card=space_cards)
@settings(max_examples=6)
def test_cards_of_the_papers_spaces_are_saved_autocast_and_batched(padded, tmp_path_factory, card):
    ids, mask = padded
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    model = FlexiBertForSequenceClassification(small_config(card)).eval()
    model.save_pretrained(folder)
    expected = model(ids, mask).logits
    loaded = AutoModelForSequenceClassification.from_pretrained(folder)
    torch.testing.assert_close(loaded(ids, mask).logits, expected)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(model(ids[order], mask[order]).logits, expected[order], atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model(ids, mask).logits.float(), expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("kind", CLASSES)
def test_saved_and_loaded_is_the_same(tmp_path, padded, kind):
    ids, mask = padded
    model = initialised(kind, small_config(ALL, num_labels=3)).float()
    model.save_pretrained(tmp_path)
    assert ModelCard.from_dict(json.loads((tmp_path / "config.json").read_text())["card"]) == ALL
    automatic = {
        FlexiBertModel: AutoModel,
        FlexiBertForMaskedLM: AutoModelForMaskedLM,
        FlexiBertForSequenceClassification: AutoModelForSequenceClassification,
    }[kind]
    loaded = automatic.from_pretrained(tmp_path)
    assert type(loaded) is kind
    assert AutoConfig.from_pretrained(tmp_path) == model.config == loaded.config
    torch.testing.assert_close(loaded(ids, mask)[0], model(ids, mask)[0])


def test_a_classifier_begins_with_the_encoder_of_a_language_model(tmp_path):
    model = initialised(FlexiBertForMaskedLM, small_config(ALL)).float()
    model.save_pretrained(tmp_path)
    loaded = FlexiBertForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    torch.testing.assert_close(loaded.encoder.state_dict(), model.encoder.state_dict())
    assert loaded.classifier.out_proj.weight.shape == (3, 16)
    assert loaded.classifier.dense.weight.std() < 0.05  # its own, not the other head's


def test_output_and_input_embeddings_are_one():
    model = FlexiBertForMaskedLM(small_config(ALL))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    model.resize_token_embeddings(60)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert len(model.get_input_embeddings().weight) == 60


def test_weights_begin_small_and_norms_as_identities():
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(FlexiBertConfig("convbert-tiny"))
    for name, value in model.named_parameters():
        if "norm" in name:
            assert set(value.unique().tolist()) <= {0.0, 1.0}
        elif "bias" in name:
            assert not value.any()
        else:
            assert value.std().item() == pytest.approx(0.02, rel=0.05)
    assert not model.get_input_embeddings().weight[1].any()  # of padding


def test_checkpoints_of_activations_change_nothing(padded):
    ids, mask = padded
    model = initialised(
        FlexiBertForMaskedLM, small_config(ALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    slopes = []
    for checkpointing in (False, True):
        if checkpointing:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()  # the older name
        model.train().zero_grad()
        model(ids, mask, labels=ids).loss.backward()
        slopes.append([value.grad.clone() for value in model.parameters()])
    torch.testing.assert_close(*slopes)


def test_checkpoints_of_activations_drop_the_same_again(padded):
    ids, mask = padded
    model = initialised(FlexiBertForMaskedLM, small_config(ALL)).train()
    slopes = []
    for checkpointing in (False, True):
        if checkpointing:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        torch.manual_seed(4)
        model.zero_grad()
        model(ids, mask, labels=ids).loss.backward()
        slopes.append([value.grad.clone() for value in model.parameters()])
    torch.testing.assert_close(*slopes)


def test_types_of_tokens_count_and_stand_where_others_have_them(padded):
    ids, mask = padded
    model = initialised(FlexiBertForSequenceClassification, small_config(ALL))
    types = (torch.arange(7) > 2).long().expand(3, 7)
    assert not torch.allclose(model(ids, mask, types).logits, model(ids, mask).logits)
    torch.testing.assert_close(model(ids, mask, types * 0).logits, model(ids, mask).logits)
    words = model.get_input_embeddings()(ids)
    torch.testing.assert_close(model(None, mask, types, words).logits, model(ids, mask, types).logits)


def test_plain_tuples_can_be_asked_for(padded):
    model = initialised(FlexiBertForSequenceClassification, small_config(ALL))
    expected = model(*padded).logits
    model.config.return_dict = False
    (logits,) = model(*padded)
    torch.testing.assert_close(logits, expected)


def test_states_are_those_of_every_layer(padded):
    ids, mask = padded
    model = initialised(FlexiBertForMaskedLM, small_config(ALL))
    found = model(ids, mask, output_hidden_states=True)
    assert [state.shape[-1] for state in found.hidden_states] == [8, 16, 8, 16, 8, 16, 16]
    assert model(ids, mask).hidden_states is None
    assert isinstance(model(ids, mask, return_dict=False), tuple)


def test_dropout_is_for_training_alone(padded):
    ids, mask = padded
    model = FlexiBertForMaskedLM(small_config(ALL)).train()
    assert not torch.equal(model(ids, mask).logits, model(ids, mask).logits)
    model.eval()
    assert torch.equal(model(ids, mask).logits, model(ids, mask).logits)


@pytest.mark.parametrize(
    ("settings", "labels", "loss"),
    [
        ({"num_labels": 3}, torch.tensor([0, 2, 1]), torch.nn.functional.cross_entropy),
        (
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 0]]).double(),
            torch.nn.functional.binary_cross_entropy_with_logits,
        ),
        ({"num_labels": 1}, torch.rand(3).double(), lambda logits, labels: (logits[:, 0] - labels).square().mean()),
    ],
)
def test_losses_are_of_the_kind_that_labels_ask_for(padded, settings, labels, loss):
    model = initialised(FlexiBertForSequenceClassification, small_config(ALL, **settings))
    found = model(*padded, labels=labels)
    torch.testing.assert_close(found.loss, loss(found.logits, labels))


def test_a_masked_token_counts_and_others_do_not(padded):
    ids, mask = padded
    labels = torch.full_like(ids, -100)
    labels[0, 2] = 17
    model = initialised(FlexiBertForMaskedLM, small_config(ALL))
    found = model(ids, mask, labels=labels)
    # transformers takes this loss in float32
    torch.testing.assert_close(found.loss.double(), -found.logits[0, 2].log_softmax(-1)[17], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "either"),
        ({"input_ids": torch.ones(1, 3, dtype=torch.long), "inputs_embeds": torch.ones(1, 3, 8)}, "either"),
        ({"input_ids": torch.ones(1, 33, dtype=torch.long)}, "33 tokens are more than 32"),
    ],
)
def test_wrong_inputs_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        FlexiBertModel(small_config(ALL))(**arguments)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"l": 1, "o": ["XX"], "h": [8], "n": [2], "f": [[4]], "p": ["SDP"]}, "field o: 'XX'"),
        ({"l": 1, "o": ["SA"], "h": [8], "n": [3], "f": [[4]], "p": ["SDP"]}, "3 heads do not divide hidden size 8"),
        ("bert-huge", "no card is named 'bert-huge'"),
        ("{", "not JSON"),
        ({"l": 1}, "field f: missing"),
    ],
)
def test_a_configuration_needs_a_card(card, reason):
    with pytest.raises(InvalidCardError, match=reason):
        FlexiBertConfig(card)


def test_a_configuration_reads_cards_of_all_kinds():
    card = ModelCard.named("bert-tiny")
    first, *others = (FlexiBertConfig(form) for form in (card, card.to_dict(), card.to_json(), "bert-tiny", None))
    assert all(other == first for other in others)
    assert first != FlexiBertConfig("bert-mini")
    assert first != FlexiBertConfig(card, vocab_size=7)
    assert AutoConfig.for_model("flexibert", card=card.to_dict()) == first


def test_depth_has_no_end(padded):
    card = load_space("g2").sample(1, seed=3)[0]
    deep = ModelCard(card.layers * 8)
    model = FlexiBertModel(small_config(deep)).eval()
    assert model(*padded).last_hidden_state.isfinite().all()


@pytest.fixture(scope="module")
def tokenizer():
    """Words of a few letters, with the marks of RoBERTa."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = ["good", "bad", "film", "a", "the", "very", "is"]
    base = Tokenizer(models.WordLevel({word: i for i, word in enumerate(marks + words)}, unk_token=marks[3]))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    base.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = ["bos_token", "pad_token", "eos_token", "unk_token", "mask_token"]
    return PreTrainedTokenizerFast(tokenizer_object=base, **dict(zip(names, marks, strict=True)))


def test_pipelines_take_the_models(tokenizer):
    torch.manual_seed(0)
    fill = pipeline("fill-mask", model=FlexiBertForMaskedLM(small_config(ALL)), tokenizer=tokenizer, device="cpu")
    model = FlexiBertForSequenceClassification(small_config(ALL)).eval()
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    assert len(fill("the film is <mask>", top_k=3)) == 3
    texts = ["the film is good", "bad"]
    together = classify(texts, batch_size=2)
    assert {answer["label"] for answer in together} <= {"LABEL_0", "LABEL_1"}
    for text, answer in zip(texts, together, strict=True):
        assert classify(text)[0]["score"] == pytest.approx(answer["score"], abs=1e-5)


@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_trainer_teaches_a_model(tokenizer, tmp_path, bf16):
    texts = ["the film is good", "good", "a very good film", "the film is bad", "bad", "a very bad film"]
    encoded = tokenizer(texts * 8, padding=True)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "token_type_ids": [1] * len(ids), "labels": int("bad" in text)}
        for ids, mask, text in zip(encoded["input_ids"], encoded["attention_mask"], texts * 8, strict=True)
    ]
    types = []
    torch.manual_seed(0)
    model = FlexiBertForSequenceClassification(small_config(ALL))
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        num_train_epochs=20,
        learning_rate=1e-2,
        use_cpu=True,
        bf16=bf16,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    hook = model.encoder.register_forward_pre_hook(lambda _, inputs: types.append(inputs[2]))
    Trainer(model, arguments, train_dataset=rows).train()
    hook.remove()
    assert types[0] is not None  # a Trainer drops what a model does not name
    model.eval()
    inputs = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    assert model(**inputs, token_type_ids=torch.ones_like(inputs["input_ids"])).logits.argmax(-1).tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
    ]


def test_settings_that_the_card_settles_are_refused():
    with pytest.raises(InvalidCardError, match="hidden_size: is settled by the card"):
        FlexiBertConfig("bert-tiny", hidden_size=64)
