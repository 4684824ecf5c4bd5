import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import DesignSpace, InvalidCardError, InvalidSpaceError, ModelCard, NotInSpaceError, load_space

TINY_TO_LARGE = Path(__file__).parents[2] / "docs" / "tiny_to_large.toml"
FACTS = {
    "name": "mine",
    "layers": [2, 4],
    "layers_per_stack": 2,
    "hidden": [128, 256],
    "heads": [2, 4],
    "feed_forward": [512, 1024],
    "feed_forward_stacks": [1, 3],
}
OPERATIONS = {"SA": ["SDP", "WMA"], "LT": ["DFT", "DCT"], "DSC": [5, 9]}


def write(path, operations=OPERATIONS, **changes):
    """A TOML space; JSON of lists, numbers and texts is TOML too."""
    facts = {name: value for name, value in (FACTS | changes).items() if value is not None}
    lines = [f"{name} = {json.dumps(value)}" for name, value in facts.items()]
    if isinstance(operations, dict):
        lines += ["[operations]", *(f"{name} = {json.dumps(value)}" for name, value in operations.items())]
    path.write_text("\n".join(lines).replace('"HUGE"', "[0x" + "f" * 5_000 + "]"))
    return path


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("g1", {}),
        ("g2", {"layers_per_stack": 1}),
        ("g3", {"layers_per_stack": 1, "heterogeneous_feed_forward": True}),
        ("homogeneous", {"layers_per_stack": "all"}),
    ],
)
def test_the_spaces_of_the_paper_can_be_written_down(tmp_path, name, changes):
    space = DesignSpace.from_toml(write(tmp_path / "space.toml", **changes))
    assert space.name == "mine"
    assert space.size == load_space(name).size
    assert space.digest == load_space(name).digest
    for card in load_space(name).sample(50, seed=1):
        assert space.index(card) == load_space(name).index(card)


def test_tiny_to_large():
    space = load_space(str(TINY_TO_LARGE))
    layers = 6 * 4 * 4 * 4 * 2  # operations, hidden sizes, heads, widths, heights
    assert space.size == sum(layers**stacks for stacks in (1, 2, 4, 6, 12))
    with pytest.raises(OverflowError):
        len(space)
    large = ModelCard.named("flexibert-large")
    assert space[space.index(large)] == large
    assert all(card in space for card in load_space("g1").sample(100, seed=0))
    assert space.mutate(large, np.random.default_rng(0)) in space


def test_operations_may_be_written_as_cards_write_them(tmp_path):
    space = DesignSpace.from_toml(write(tmp_path / "a.toml", operations={"sa": ["sdp"], "l": ["dct"], "c": ["7", 3]}))
    assert space.choices.operations == (("SA", "SDP"), ("LT", "DCT"), ("DSC", 7), ("DSC", 3))


BAD = [
    ({"name": None}, "name: missing"),
    ({"name": "a/b"}, "name: 'a/b'"),
    ({"name": 7}, "name: 7"),
    ({"layers": None}, "layers: missing"),
    ({"layers": []}, r"layers: \[\] is not a list"),
    ({"layers": 4}, "layers: 4 is not a list"),
    ({"layers": [0]}, "layers: 0 is not a whole number"),
    ({"layers": [True]}, "layers: True is not a whole number"),
    ({"layers": [2, 2]}, "layers: a value stands there twice"),
    ({"layers": [300], "layers_per_stack": 1}, "layers: 300 is not a whole number from 1 to 256"),
    ({"layers": [3]}, "layers_per_stack: 2 do not divide 3"),
    ({"layers_per_stack": 0}, "layers_per_stack: 0"),
    ({"layers_per_stack": "none"}, "layers_per_stack: 'none'"),
    ({"heads": [3]}, "hidden: no number of heads divides 128"),
    ({"heads": [2, 3]}, "heads: 3 divide no hidden size"),
    ({"hidden": [10**400]}, "hidden: 1000"),
    ({"hidden": "HUGE"}, "a huge int is not"),
    ({"layers_per_stack": "HUGE"}, "a huge list"),
    ({"hidden": [1.5]}, "hidden: 1.5 is not"),
    ({"feed_forward_stacks": [-1]}, "feed_forward_stacks: -1"),
    ({"feed_forward_stacks": [400]}, "feed_forward_stacks: 400"),
    ({"heterogeneous_feed_forward": "yes"}, "heterogeneous_feed_forward: 'yes'"),
    ({"heterogeneous_feed_forward": True, "feed_forward_stacks": [30]}, "more than 100,000 different layers"),
    ({"attention": [1]}, "attention: unknown"),
    ({"operations": None}, "operations: missing"),
    ({"operations": {}}, "operations: not a table"),
    ({"operations": {"SA": []}}, "operations: SA"),
    ({"operations": {"SA": ["DCT"]}}, "field p: 'DCT'"),
    ({"operations": {"DSC": [4]}}, "field p: 4"),
    ({"operations": {"RNN": ["x"]}}, "field o: 'RNN'"),
    ({"operations": {"SA": ["SDP", "sdp"]}}, "twice"),
    ({"operations": {"SA": [{}]}}, "field p"),
]


def test_heads_need_not_divide_every_hidden_size(tmp_path):
    space = DesignSpace.from_toml(write(tmp_path / "a.toml", hidden=[128, 768], heads=[2, 12]))
    assert space.size == sum((6 * 3 * 2 * 2) ** stacks for stacks in (1, 2))
    for card in space.sample(50, seed=0):
        assert all(neighbor in space for neighbor in space.neighbors(card))
        assert space.crossover(card, space[0], np.random.default_rng(0)) in space


@pytest.mark.parametrize(("changes", "says"), BAD)
def test_a_space_that_makes_no_sense(tmp_path, changes, says):
    with pytest.raises(InvalidSpaceError, match=says) as error:
        load_space(str(write(tmp_path / "space.toml", **changes)))
    assert "space.toml" in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_spaces(tmp_path):
    path = tmp_path / "space.toml"
    with pytest.raises(InvalidSpaceError, match=r"cannot read .*No such file"):
        load_space(str(path))
    for content in (b"\xff", b"layers = [", b"x" * 10):
        path.write_bytes(content)
        with pytest.raises(InvalidSpaceError, match="cannot read"):
            load_space(str(path))
    with pytest.raises(InvalidSpaceError, match="name of a space of flexnas-bench"):
        load_space(str(write(path, name="g2")))
    with pytest.raises(NotInSpaceError, match=r"or a \.toml or \.jsonl file"):
        load_space("space.yaml")


def test_a_list_of_cards_in_a_file(tmp_path):
    path, cards = tmp_path / "mine.jsonl", load_space("g3").sample(5, seed=0)
    path.write_text("\n\n".join(card.to_json() for card in cards) + "\n")
    space = load_space(str(path))
    assert (space.name, list(space)) == ("mine", cards)
    path.write_text(cards[0].to_json() + "\n{}\n")
    with pytest.raises(InvalidCardError, match="line 2: field f: missing"):
        load_space(str(path))
    path.write_text((cards[0].to_json() + "\n") * 2)
    with pytest.raises(InvalidSpaceError, match="line 2: the card of line 1 again"):
        load_space(str(path))
    path.write_text("")
    with pytest.raises(InvalidSpaceError, match="no cards"):
        load_space(str(path))
    with pytest.raises(InvalidSpaceError, match="cannot read"):
        load_space(str(tmp_path / "other.jsonl"))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*FACTS, "operations"]), _VALUES, max_size=3))
def test_any_description_is_a_space_or_one_clear_error(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("fuzz") / "space.toml"
    try:
        space = load_space(str(write(path, **changes)))
        assert space[space.size - 1] in space
    except InvalidSpaceError:
        pass
