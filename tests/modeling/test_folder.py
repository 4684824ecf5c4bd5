import json
import shutil

import pytest
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, BertModel

from flexnas_bench import InvalidCardError, ModelCard, OptionError, WeightsError
from flexnas_bench.modeling import FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertModel, load_model
from flexnas_bench.modeling.folder import write_model
from tests.modeling.conftest import small_config

TINY = ModelCard.named("bert-tiny")
FILE = "model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    write_model(FlexiBertForMaskedLM(small_config(TINY)), folder, "weights: random")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def configure(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def with_card(**changes):
    return lambda folder: configure(folder, card=TINY.to_dict() | changes)


def with_content(change):
    return lambda folder: (folder / FILE).write_bytes(change((folder / FILE).read_bytes()))


def foreign(folder):
    config = BertConfig(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512, vocab_size=50
    )
    BertModel(config).save_pretrained(folder / "bert")
    shutil.copy(folder / "bert" / FILE, folder / FILE)


@pytest.mark.parametrize("read", [AutoModelForMaskedLM.from_pretrained, AutoModel.from_pretrained, load_model])
@pytest.mark.parametrize(
    ("damage", "error", "reason"),
    [
        (with_content(lambda content: content[: len(content) // 2]), WeightsError, "not a whole safetensors file"),
        (with_content(lambda content: b"\xff" * 1000), WeightsError, "not a whole safetensors file"),
        (with_content(lambda content: b""), WeightsError, "not a whole safetensors file"),
        (lambda folder: (folder / FILE).unlink(), WeightsError, "no such file"),
        (foreign, WeightsError, "which the model card needs"),
        (with_card(h=[256, 256]), WeightsError, r"have shape .*, and the model card needs"),
        (
            with_card(p=["SDP", "WMA"]),
            WeightsError,
            r"no weights .*layers\.1\.operation\.similarity",
        ),
        (with_card(o=["SA", "XX"]), InvalidCardError, "layer 2, field o: 'XX' is not one of SA, LT, DSC"),
        (with_card(n=[3, 2]), InvalidCardError, "layer 1, field n: 3 heads do not divide hidden size 128"),
        (lambda folder: configure(folder, card=None), WeightsError, "no model card"),
    ],
)
def test_damaged_folders_are_refused_in_one_line(folder, read, damage, error, reason):
    damage(folder)
    with pytest.raises(error, match=reason) as caught:
        read(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_a_broken_configuration_is_refused_in_one_line(folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"config\.json: "):
        load_model(folder)


def test_no_folder_is_no_model(tmp_path):
    with pytest.raises(WeightsError, match=r"config\.json: No such file"):
        load_model(tmp_path)


@pytest.mark.parametrize("kind", [FlexiBertModel, FlexiBertForMaskedLM, FlexiBertForSequenceClassification])
def test_a_folder_gives_the_class_that_wrote_it(tmp_path, kind):
    write_model(kind(small_config(TINY)), tmp_path / "model", "weights: random")
    assert type(load_model(tmp_path / "model")) is kind
    assert ModelCard.from_json((tmp_path / "model" / "card.json").read_text()) == TINY


def test_a_full_folder_is_left_alone_and_an_empty_one_filled(tmp_path):
    model = FlexiBertModel(small_config(TINY))
    (tmp_path / "empty").mkdir()
    write_model(model, tmp_path / "empty", "weights: random")
    before = sorted(path.name for path in (tmp_path / "empty").iterdir())
    with pytest.raises(OptionError, match="is there already"):
        write_model(model, tmp_path / "empty", "weights: random")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match="is there already"):
        write_model(model, tmp_path / "file", "weights: random")
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_what_fails_leaves_nothing(tmp_path):
    def fail(folder):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_model(FlexiBertModel(small_config(TINY)), tmp_path / "model", "weights: random", fail)
    assert not list(tmp_path.iterdir())


def sharded(folder):
    model = FlexiBertForMaskedLM(small_config(TINY))
    shutil.rmtree(folder)
    model.save_pretrained(folder, max_shard_size="200KB")
    assert not (folder / FILE).exists()
    return sorted(folder.glob("model-*.safetensors"))


def test_weights_in_several_files_are_looked_at_as_those_in_one(folder):
    files = sharded(folder)
    assert len(files) > 1
    assert type(load_model(folder)) is FlexiBertForMaskedLM
    configure(folder, card=TINY.to_dict() | {"p": ["SDP", "WMA"]})
    with pytest.raises(WeightsError, match="similarity, which the model card needs"):
        AutoModelForMaskedLM.from_pretrained(folder)


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:-9])])
def test_damaged_files_of_several_are_refused_in_one_line(folder, damage):
    damage(sharded(folder)[-1])
    with pytest.raises(WeightsError, match=r"model-0.*safetensors: (no such file|not a whole)"):
        load_model(folder)


def test_a_broken_index_is_refused_in_one_line(folder):
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(WeightsError, match="no list of files"):
        load_model(folder)


@pytest.mark.parametrize("changes", [{"vocab_size": "abc"}, {"num_hidden_layers": 3}])
def test_settings_that_make_no_sense_are_refused_in_one_line(folder, changes):
    configure(folder, **changes)
    with pytest.raises((WeightsError, InvalidCardError)) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_head_that_is_missing_is_not_made_up(tmp_path):
    FlexiBertModel(small_config(TINY)).save_pretrained(tmp_path)
    configure(tmp_path, architectures=["FlexiBertForMaskedLM"])
    with pytest.raises(WeightsError, match=r"no weights lm_head\."):
        load_model(tmp_path)


def test_weights_can_be_given_without_a_folder():
    model = FlexiBertForMaskedLM(small_config(TINY))
    again = FlexiBertForMaskedLM.from_pretrained(None, config=model.config, state_dict=model.state_dict())
    assert all((a == b).all() for a, b in zip(model.parameters(), again.parameters(), strict=True))
