import json
import resource
import subprocess
import sys

import pytest
import torch
from transformers import AutoTokenizer, pipeline

from flexnas_bench import ModelCard
from flexnas_bench.modeling import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    load_model,
)
from tests.processes import Command

TINY = ModelCard.named("bert-tiny")

LOAD = """
import sys
import torch
import flexnas_bench.modeling
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
ids = torch.tensor([[0, 100, 200, 2], [0, 300, 2, 1]])
print(model(ids, attention_mask=ids != 1).logits.tolist())
"""


def test_an_exported_folder_classifies_a_batch_in_a_fresh_process(flexnas, tmp_path):
    out = tmp_path / "model"
    code, said, _ = flexnas("export", "flexibert-mini", "--labels", 2, "--out", out)
    assert code == 0
    assert "FlexiBertForSequenceClassification" in said
    assert "random, seed 0" in said
    done = subprocess.run([sys.executable, "-c", LOAD, out], capture_output=True, text=True, check=True)
    logits = torch.tensor(json.loads(done.stdout))
    assert logits.shape == (2, 2)
    ids = torch.tensor([[0, 100, 200, 2], [0, 300, 2, 1]])
    torch.testing.assert_close(logits, load_model(out)(ids, attention_mask=ids != 1).logits, atol=1e-5, rtol=1e-5)
    assert ModelCard.from_json((out / "card.json").read_text()) == ModelCard.named("flexibert-mini")


def test_a_seed_settles_the_weights(flexnas, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        code, said, _ = flexnas("export", TINY.hash, "--out", tmp_path / name, "--seed", seed, "--json")
        assert code == 0
    facts = json.loads(said)
    assert (facts["parameters"], facts["hash"]) == (TINY.parameters, TINY.hash)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_trained_weights_come_from_a_folder(flexnas, tmp_path):
    flexnas("export", TINY.to_json(), "--out", tmp_path / "trained", "--seed", 5)
    code, said, _ = flexnas(
        "export", "bert-tiny", "--labels", 3, "--weights", tmp_path / "trained", "--out", tmp_path / "a"
    )
    assert code == 0
    assert "2 of 2 layers (1.00), embeddings from" in said
    donor, query = (load_model(tmp_path / name) for name in ("trained", "a"))
    assert isinstance(donor, FlexiBertForMaskedLM)
    assert isinstance(query, FlexiBertForSequenceClassification)
    torch.testing.assert_close(query.encoder.state_dict(), donor.encoder.state_dict(), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["bert-huge"], "no card is named 'bert-huge'"),
        (['{"l": 1}'], "field f: missing"),
        ([TINY.to_json().replace("SDP", "XXX")], "field p: 'XXX' is not one of SDP, WMA"),
        ([TINY.to_json().replace('"n": [2, 2]', '"n": [3, 2]')], "3 heads do not divide hidden size 128"),
        (["bert-tiny", "--labels", "0"], "--labels"),
        (["bert-tiny", "--overlap", "1.5"], "--overlap"),
        (["bert-tiny", "--seed", "9" * 25], "--seed"),
        (["bert-tiny", "--weights", "nowhere"], "nowhere/config.json: No such file or directory"),
        (["bert-tiny", "--tokenizer", "nowhere"], "nowhere: no such folder"),
        (["bert-tiny", "--tokenizer", "."], ".: no tokenizer: "),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(flexnas, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    code, said, complained = flexnas("export", *arguments, "--out", "model")
    assert (code, said) == (2, "")
    assert reason in complained
    assert complained.count("\n") == 1
    assert not list(tmp_path.iterdir())


def small_donor(folder, kind=FlexiBertForSequenceClassification, **settings):
    kind(FlexiBertConfig("bert-tiny", **{"vocab_size": 300, "max_position_embeddings": 64} | settings)).save_pretrained(
        folder
    )


def test_settings_come_from_the_donor_too(flexnas, tmp_path):
    small_donor(tmp_path / "donor", id2label={0: "no", 1: "maybe", 2: "yes"})
    code, said, _ = flexnas("export", "bert-tiny", "--weights", tmp_path / "donor", "--out", tmp_path / "a")
    assert code == 0
    assert "embeddings, head from" in said
    again = load_model(tmp_path / "a")
    assert type(again) is FlexiBertForSequenceClassification
    assert (again.config.vocab_size, again.config.max_position_embeddings) == (300, 64)
    assert again.config.id2label == {0: "no", 1: "maybe", 2: "yes"}
    code, said, _ = flexnas(
        "export", "bert-tiny", "--weights", tmp_path / "donor", "--labels", 5, "--out", tmp_path / "b"
    )
    assert code == 0
    assert "random: head" in said


def test_a_tokenizer_is_written_beside_and_fits(flexnas, tmp_path, tokenizer_folder):
    code, _, _ = flexnas("export", "bert-tiny", "--labels", 2, "--tokenizer", tokenizer_folder, "--out", tmp_path / "a")
    assert code == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert tokenizer.model_max_length == 512
    classify = pipeline("text-classification", model=load_model(tmp_path / "a"), tokenizer=tokenizer, device="cpu")
    assert 0 < classify("the film is good " * 300, truncation=True)[0]["score"] < 1
    small_donor(tmp_path / "donor", vocab_size=20)
    command = [
        "export",
        "bert-tiny",
        "--weights",
        tmp_path / "donor",
        "--tokenizer",
        tokenizer_folder,
        "--out",
        tmp_path / "b",
    ]
    code, _, complained = flexnas(*command)
    assert code == 2
    assert "298 tokens are more than the 20 of the model" in complained


def test_the_folder_of_a_model_says_how_to_load_it(flexnas, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert flexnas("export", "bert-tiny", "--out", ".")[0] == 0
    page = (tmp_path / "here" / "README.md").read_text()
    assert "import flexnas_bench.modeling" in page
    assert "AutoModelForMaskedLM" in page
    assert TINY.hash in page


def test_a_stranger_gives_no_weights(flexnas, tmp_path):
    flexnas("export", "fnet-tiny", "--out", tmp_path / "other")
    code, _, complained = flexnas("export", "bert-tiny", "--weights", tmp_path / "other", "--out", tmp_path / "model")
    assert code == 2
    assert "0 of 2 layers in common, 0.00, under 0.8" in complained
    assert not (tmp_path / "model").exists()


def test_what_is_there_stays(flexnas, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("mine")
    code, _, complained = flexnas("export", "bert-tiny", "--out", tmp_path / "model")
    assert code == 2
    assert "is there already" in complained
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine"]


def fill_the_disk():
    """The limit of the size of a file stands for it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))


def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path):
    (tmp_path / "here").mkdir()
    export = Command(["export", "bert-tiny", "--out", tmp_path / "here" / "model"], tmp_path, fill_the_disk)
    export.start()
    export.join()
    assert export.exitcode == 2, export.errors
    assert export.errors.count("\n") == 1
    assert "too large" in export.errors.lower()
    assert not list((tmp_path / "here").iterdir())
