import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import InvalidCardError, ModelCard
from tests.conftest import any_cards

TINY = {"l": 2, "o": ["SA", "SA"], "h": [128, 128], "n": [2, 2], "f": [[512], [512]], "p": ["SDP", "SDP"]}


@given(any_cards)
def test_dictionary_and_json_round_trip(card):
    assert ModelCard.from_dict(card.to_dict()) == card
    assert ModelCard.from_json(card.to_json()) == card
    assert json.loads(card.to_json()) == card.to_dict()


def test_bert_tiny_is_the_papers_example():
    assert ModelCard.named("bert-tiny").to_dict() == TINY  # section 3.1.1


def test_reads_any_case_and_the_short_forms():
    card = ModelCard.from_dict(
        {"l": 3, "o": ["sa", "l", "C"], "h": [128] * 3, "n": [2] * 3, "f": [[512]] * 3, "p": ["wma", "Dct", "9"]}
    )
    assert card.to_dict()["o"] == ["SA", "LT", "DSC"]
    assert card.to_dict()["p"] == ["WMA", "DCT", 9]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"l": 3}, "field o: 2 entries for 3 layers"),
        ({"l": 0}, "field l"),
        ({"l": True}, "field l"),
        ({"l": "2"}, "field l"),
        ({"o": ["SA", "XX"]}, "layer 2, field o: 'XX'"),
        ({"o": "SA"}, "field o: not a list"),
        ({"o": ["SA", None]}, "layer 2, field o"),
        ({"h": [128, 128, 128]}, "field h: 3 entries"),
        ({"h": [128, -128]}, "layer 2, field h"),
        ({"h": [128.0, 128]}, "layer 1, field h"),
        ({"n": [2, 3]}, "layer 2, field n: 3 heads do not divide"),
        ({"n": [True, 2]}, "layer 1, field n"),
        ({"f": [[512], []]}, "layer 2, field f"),
        ({"f": [512, 512]}, "layer 1, field f"),
        ({"f": [[512], ["512"]]}, "layer 2, field f"),
        ({"p": ["SDP", "DFT"]}, "layer 2, field p: 'DFT' is not one of SDP, WMA"),
        ({"p": ["SDP", 5]}, "layer 2, field p"),
        ({"o": ["SA", "DSC"], "p": ["SDP", 4]}, "layer 2, field p: 4 is not an odd kernel"),
        ({"p": ["SDP", [1]]}, "layer 2, field p"),
        ({"x": 1}, "field x: unknown"),
    ],
)
def test_an_error_names_the_field(change, says):
    with pytest.raises(InvalidCardError, match=says.replace("[", r"\[")):
        ModelCard.from_dict(TINY | change)


@pytest.mark.parametrize("field", TINY)
def test_a_missing_field_is_named(field):
    with pytest.raises(InvalidCardError, match=f"field {field}: missing"):
        ModelCard.from_dict({key: value for key, value in TINY.items() if key != field})


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '"SA"', "[" * 100_000, "9" * 5_000, '{"l": 1e999}'])
def test_text_that_is_no_card(text):
    with pytest.raises(InvalidCardError):
        ModelCard.from_json(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from("lohnfpx"), x),
    )
)
def test_anything_else_is_a_card_error_and_nothing_worse(value):
    with pytest.raises(InvalidCardError):
        ModelCard.from_dict(value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidCardError, match="flexibert-mini"):
        ModelCard.named("bert-huge")


@pytest.mark.parametrize("layers", [(), ("a",), [None]])
def test_layers_must_be_layers(layers):
    with pytest.raises(InvalidCardError, match="field l"):
        ModelCard(layers)


def test_a_list_of_layers_will_do():
    card = ModelCard.from_dict(TINY)
    assert ModelCard(list(card.layers)) == card


def test_cards_are_values():
    a, b = ModelCard.from_dict(TINY), ModelCard.named("BERT-Tiny")
    assert a == b
    assert len({a, b}) == 1
    with pytest.raises(AttributeError):
        a.layers = ()
    with pytest.raises(InvalidCardError):
        a.flops(0)


def test_named_cards_are_those_of_the_paper(published):
    listed = json.loads((published / "flexibert_2023" / "model_cards.json").read_text())
    entries = list(listed.pop("initial_12_models").values()) + list(listed.values())
    from flexnas_bench.named import NAMED_CARDS

    ours = {"flexibert-small", "flexibert-base"}  # which the paper speaks of without their cards
    named = {ModelCard.named(name) for name in NAMED_CARDS.keys() - ours}
    assert {ModelCard.from_dict(entry["card"]) for entry in entries} == named
