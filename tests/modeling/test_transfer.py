import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import EncoderLayer, ModelCard, TransferRefusedError, biased_overlap
from flexnas_bench.modeling import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
    Transfer,
    transfer_weights,
)
from tests.modeling.conftest import initialised, small_cards, small_config

WIDE, NARROW, CONV = (
    EncoderLayer("SA", "SDP", 8, 2, (6,)),
    EncoderLayer("LT", "DCT", 4, 2, (6, 6)),
    EncoderLayer("DSC", 5, 8, 2, (6,)),
)


def pair(query, donor, kind=FlexiBertForMaskedLM, **settings):
    return (
        initialised(kind, small_config(ModelCard(tuple(layers)), **settings), seed)
        for seed, layers in ((1, query), (2, donor))
    )


def copied(query, donor):
    """Names of the parameters that are equal in both."""
    mine, theirs = (dict(model.named_parameters()) for model in (query, donor))
    norms = {name for name in mine if "norm" in name}  # alike in any two models
    shared = mine.keys() & theirs.keys() - norms
    return {name for name in shared if mine[name].shape == theirs[name].shape and torch.equal(mine[name], theirs[name])}


def test_a_complete_overlap_gives_everything():
    query, donor = pair([WIDE, NARROW], [WIDE, NARROW])
    assert transfer_weights(query, donor) == Transfer(layers=2, fraction=1.0, embeddings=True, head=True)
    torch.testing.assert_close(query.state_dict(), donor.state_dict(), atol=0, rtol=0)
    assert query.get_output_embeddings().weight is query.get_input_embeddings().weight


def test_layers_are_copied_up_to_the_first_difference(padded):
    query, donor = pair([WIDE, CONV, NARROW, WIDE], [WIDE, CONV, WIDE, WIDE])
    deeper = {name: value.clone() for name, value in query.encoder.layers[2:].state_dict().items()}
    projection = query.encoder.layers[1].projection.weight.clone()
    assert transfer_weights(query, donor, threshold=0.5) == Transfer(2, 0.5, embeddings=True, head=True)
    torch.testing.assert_close(query.encoder.layers[2:].state_dict(), deeper, atol=0, rtol=0)
    assert torch.equal(query.encoder.layers[1].projection.weight, projection)  # the donor has none there
    ids, mask = padded
    first = [model(ids, mask, output_hidden_states=True).hidden_states for model in (query, donor)]
    torch.testing.assert_close(first[0][:2], first[1][:2])


def test_a_shallow_donor_begins_a_deep_query():
    query, donor = pair([WIDE, NARROW, WIDE, NARROW], [WIDE, NARROW])
    found = transfer_weights(query, donor, threshold=0.5)
    assert (found.layers, found.fraction) == (2, 0.5)
    assert torch.equal(query.encoder.layers[0].projection.weight, donor.encoder.layers[0].projection.weight)
    assert query.encoder.layers[1].projection.weight.shape == (8, 4)


@given(card=small_cards, other=small_cards, kept=st.integers(0, 5))
def test_what_is_reported_is_what_was_copied(card, other, kept):
    donor_card = ModelCard(card.layers[:kept] + other.layers)
    query, donor = (initialised(FlexiBertModel, small_config(one), seed) for seed, one in ((1, card), (2, donor_card)))
    found = transfer_weights(query, donor, threshold=0)
    assert found.layers == biased_overlap(card, donor_card) >= min(kept, card.num_layers)
    assert found.fraction == found.layers / card.num_layers
    names = copied(query, donor)
    inside = {
        name for name, value in query.layers.named_parameters() if "projection" not in name and "norm" not in name
    }
    expected = {f"layers.{name}" for name in inside if int(name.partition(".")[0]) < found.layers}
    assert expected <= names
    assert not any(f"layers.{name}" in names for name in inside if int(name.partition(".")[0]) >= found.layers)
    assert found.embeddings == (card.layers[0].hidden == donor_card.layers[0].hidden)
    assert not found.head


@pytest.mark.parametrize(("threshold", "refused"), [(0.8, True), (0.75, False), (0.76, True)])
def test_too_little_in_common_is_refused(threshold, refused):
    query, donor = pair([WIDE, CONV, WIDE, NARROW], [WIDE, CONV, WIDE, WIDE])
    before = {name: value.clone() for name, value in query.state_dict().items()}
    if refused:
        with pytest.raises(TransferRefusedError, match=r"3 of 4 layers in common, 0\.75, under 0\.7|under 0\.8"):
            transfer_weights(query, donor, threshold)
        torch.testing.assert_close(query.state_dict(), before, atol=0, rtol=0)
    else:
        assert transfer_weights(query, donor, threshold).fraction == 0.75


def test_models_of_other_sizes_are_refused_before_anything_is_copied():
    query, donor = pair([WIDE], [WIDE])
    longer = initialised(FlexiBertForMaskedLM, small_config(ModelCard((WIDE,))), 3)
    longer.config.max_position_embeddings = 64
    with pytest.raises(TransferRefusedError, match="positions"):
        transfer_weights(query, longer)
    assert transfer_weights(query, donor).layers == 1


def test_a_projection_belongs_to_the_layer_that_it_ends():
    query, donor = pair([WIDE, NARROW, WIDE], [WIDE, EncoderLayer("SA", "WMA", 4, 1, (3,)), WIDE])
    assert transfer_weights(query, donor, threshold=0.3).layers == 1
    assert torch.equal(query.encoder.layers[0].projection.weight, donor.encoder.layers[0].projection.weight)
    assert not torch.equal(query.encoder.layers[1].projection.weight, donor.encoder.layers[1].projection.weight)


def test_a_tied_and_an_untied_model_are_refused():
    query, donor = next(pair([WIDE], [WIDE])), next(pair([WIDE], [WIDE], tie_word_embeddings=False))
    with pytest.raises(TransferRefusedError, match="tied"):
        transfer_weights(query, donor)


def test_heads_of_other_kinds_are_left():
    (query, _), (_, donor) = pair([WIDE], [WIDE], FlexiBertForSequenceClassification), pair([WIDE], [WIDE])
    assert transfer_weights(query, donor) == Transfer(1, 1.0, embeddings=True, head=False)
    three, two = (
        next(pair([WIDE], [WIDE], FlexiBertForSequenceClassification, num_labels=labels)) for labels in (3, 2)
    )
    assert not transfer_weights(three, two).head
