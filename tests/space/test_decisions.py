import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import DesignSpace, ModelCard, NotInSpaceError, load_space
from flexnas_bench.space import Decisions

SPACES = ["g1", "g2", "g3", "homogeneous", "pool"]


@pytest.mark.parametrize("name", SPACES)
@given(where=st.floats(0, 1, exclude_max=True))
def test_a_card_and_its_decisions_are_each_others_inverse(name, where):
    space = load_space(name)
    card = space[int(where * space.size)]
    values = space.decisions.of(card)
    assert space.decisions.card(values) == card
    assert list(values) == space.decisions.names(card.num_layers)
    assert all(value in space.decisions.options[what] for what, value in values.items())


@pytest.mark.parametrize("name", ["g1", "g2", "g3", "homogeneous"])
@given(data=st.data())
def test_any_options_are_a_card_of_the_space(name, data):
    space = load_space(name)
    values = {what: data.draw(st.sampled_from(options)) for what, options in space.decisions.options.items()}
    card = space.decisions.card(values)
    assert card in space
    assert space.decisions.of(card).items() <= values.items()


@pytest.mark.parametrize("name", ["g1", "g2", "g3", "homogeneous"])
def test_products_of_options_are_as_many_as_cards(name):
    space = load_space(name)
    total = 0
    for layers in space.choices.layers:
        cards = 1
        for what in space.decisions.names(layers)[1:]:
            cards *= len(space.decisions.options[what])
        total += cards
    assert total == space.size


def test_an_option_that_is_not_there():
    decisions = load_space("g2").decisions
    with pytest.raises(NotInSpaceError, match="layers has no option 24"):
        decisions.of(ModelCard.named("flexibert-large"))


def test_sizes_that_do_not_fit_are_no_options(tmp_path):
    space = DesignSpace.from_cards("two", [ModelCard.named("bert-tiny"), ModelCard.named("bert-mini")])
    assert isinstance(space.decisions, Decisions)
    for hidden, heads in space.decisions.options["stack1.size"]:
        assert hidden % heads == 0
