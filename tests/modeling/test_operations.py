import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from transformers import BertConfig, ConvBertConfig, Wav2Vec2BertConfig
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.convbert.modeling_convbert import ConvBertSelfAttention
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention

from flexnas_bench import EncoderLayer, ModelCard
from flexnas_bench.modeling.model import FlexiBertLayer
from flexnas_bench.modeling.operations import OPERATIONS
from flexnas_bench.modeling.sentences import Sentences
from tests.modeling.conftest import OPERATIONS as NAMES
from tests.modeling.conftest import initialised, plain_attention, small_config

H, HEADS, N = 24, 3, 9
PATHS = pytest.mark.parametrize("path", ["eager", "sdpa"])


def operation_of(name, parameter, path="sdpa"):
    layer = EncoderLayer(name, parameter, H, HEADS, (16,))
    config = small_config(ModelCard((layer,)), attn_implementation=path)
    assert config._attn_implementation == path
    return initialised(lambda config: OPERATIONS[name](layer, config), config)


def sentences_of(x, lengths=(9, 5), transforms=("DFT", "DCT")):
    mask = torch.arange(x.shape[1]) < torch.tensor(lengths)[:, None]
    return mask, Sentences.of(mask, x, transforms)


@pytest.fixture
def x():
    torch.manual_seed(2)
    return torch.randn(2, N, H, dtype=torch.float64)


def copy(target, weight, bias=None):
    with torch.no_grad():
        target.weight.copy_(weight)
        if bias is not None:
            target.bias.copy_(bias)


def parts(linear, count):
    """Weights and biases of maps that stand one after another."""
    return list(zip(linear.weight.chunk(count), linear.bias.chunk(count), strict=True))


def heads(x):
    return x.unflatten(-1, (HEADS, H // HEADS)).transpose(1, 2)


@PATHS
def test_sdp_is_attention_by_relative_keys_of_wav2vec2_bert(x, path):
    mine = operation_of("SA", "SDP", path)
    config = Wav2Vec2BertConfig(
        hidden_size=H,
        num_attention_heads=HEADS,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=31,
        right_max_position_embeddings=31,
        attention_dropout=0.0,
    )
    config._attn_implementation = "eager"
    theirs = Wav2Vec2BertSelfAttention(config).double().eval()
    for target, values in zip((theirs.linear_q, theirs.linear_v, theirs.linear_k), parts(mine.maps, 3), strict=True):
        copy(target, *values)
    copy(theirs.linear_out, mine.output.weight, mine.output.bias)
    copy(theirs.distance_embedding, mine.distances)
    mask, sentences = sentences_of(x)
    expected, _ = theirs(x, attention_mask=sentences.scores)
    torch.testing.assert_close(mine(x, sentences)[mask], expected[mask])


@PATHS
def test_wma_is_its_formula(x, path):
    mine = operation_of("SA", "WMA", path)
    query, value, key = (heads(part) for part in mine.maps(x).chunk(3, -1))
    mask, sentences = sentences_of(x)
    weighted = torch.einsum("bhjd,ed->bhje", key, mine.similarity) * (H // HEADS) ** 0.5  # q W k, without the root
    expected = plain_attention(query, weighted, value, mine.distances, mask)
    expected = mine.output(expected.transpose(1, 2).flatten(2))
    torch.testing.assert_close(mine(x, sentences)[mask], expected[mask])


def test_wma_begins_as_sdp(x):
    sdp, wma = operation_of("SA", "SDP"), operation_of("SA", "WMA")
    wma.load_state_dict(sdp.state_dict(), strict=False)
    kept = wma.distances.clone()
    wma.reset()
    with torch.no_grad():
        wma.distances.copy_(kept)
    torch.testing.assert_close(wma(x, Sentences()), sdp(x, Sentences()))


@PATHS
@pytest.mark.parametrize("size", [5, 9])
def test_the_span_convolution_is_that_of_convbert(x, size, path):
    """ConvBERT's has half of its width; one of twice the width, with zeros there, is as wide as ours."""
    mine = operation_of("DSC", size, path)
    config = ConvBertConfig(hidden_size=2 * H, num_attention_heads=HEADS, head_ratio=1, conv_kernel_size=size)
    theirs = ConvBertSelfAttention(config).double().eval()
    wide = (0, H)
    (query, query_bias), (value, value_bias) = parts(mine.maps, 2)
    copy(theirs.query, nn.functional.pad(query, wide), query_bias)
    copy(theirs.conv_out_layer, nn.functional.pad(value, wide), value_bias)
    copy(theirs.key_conv_attn_layer.depthwise, torch.cat([mine.depthwise.weight, torch.zeros(H, 1, size)]))
    copy(theirs.key_conv_attn_layer.pointwise, nn.functional.pad(mine.pointwise.weight, wide).unsqueeze(-1))
    with torch.no_grad():
        theirs.key_conv_attn_layer.bias.copy_(mine.pointwise.bias[:, None])
    copy(theirs.conv_kernel_layer, mine.kernels.weight, mine.kernels.bias)
    found, _ = theirs(nn.functional.pad(x, wide))
    convolved = found[..., H:]  # after the heads that attend
    query, value = (heads(part) for part in mine.maps(x).chunk(2, -1))
    relative = plain_attention(query, None, value, mine.distances).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mine(x, Sentences()), mine.output(relative + convolved))


@PATHS
@pytest.mark.parametrize("kind", ["DFT", "DCT"])
def test_a_linear_transform_adds_attention_by_positions(x, kind, path):
    mine = operation_of("LT", kind, path)
    query, value = (heads(part) for part in mine.maps(x).chunk(2, -1))
    mask, sentences = sentences_of(x)
    relative = plain_attention(query, None, value, mine.distances, mask).transpose(1, 2).flatten(2)
    found = mine(x, sentences) - mine.output(relative)
    scale = (5 * H) ** 0.5
    if kind == "DFT":
        expected = torch.fft.fft2(x[1, :5]).real / scale
    else:
        i = torch.arange(5, dtype=torch.float64)
        tokens = torch.cos(torch.pi * (2 * i[None] + 1) * i[:, None] / 10) * (2 / 5) ** 0.5
        j = torch.arange(H, dtype=torch.float64)
        width = torch.cos(torch.pi * (2 * j[None] + 1) * j[:, None] / (2 * H)) * (2 / H) ** 0.5
        tokens[0], width[0] = 5**-0.5, H**-0.5
        expected = tokens @ x[1, :5] @ width.T
    torch.testing.assert_close(found[1, :5], expected)


@PATHS
@pytest.mark.parametrize(("name", "parameter"), NAMES)
def test_derivatives_are_those_of_differences(name, parameter, path):
    layer = EncoderLayer(name, parameter, 4, 2, (3,))
    config = small_config(ModelCard((layer,)), attn_implementation=path)
    operation = initialised(lambda config: OPERATIONS[name](layer, config), config)
    x = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    _, sentences = sentences_of(x, (4, 3))
    names, values = zip(*operation.named_parameters(), strict=True)

    def function(x, *values):
        return torch.func.functional_call(operation, dict(zip(names, values, strict=True)), (x, sentences))

    assert gradcheck(function, (x, *values), fast_mode=True)  # all inputs at once, along random directions


def test_a_layer_without_positions_is_that_of_bert(x):
    layer = EncoderLayer("SA", "SDP", H, HEADS, (16,))
    config = small_config(ModelCard((layer,)))
    mine = initialised(lambda config: FlexiBertLayer(layer, H, config), config)
    bert = BertConfig(hidden_size=H, num_attention_heads=HEADS, intermediate_size=16)
    bert._attn_implementation = "eager"
    theirs = BertLayer(bert).double().eval()
    own = theirs.attention.self
    for target, values in zip((own.query, own.value, own.key), parts(mine.operation.maps, 3), strict=True):
        copy(target, *values)
    copy(theirs.attention.output.dense, mine.operation.output.weight, mine.operation.output.bias)
    copy(theirs.intermediate.dense, mine.feed_forward[0].weight, mine.feed_forward[0].bias)
    copy(theirs.output.dense, mine.feed_forward[1].weight, mine.feed_forward[1].bias)
    with torch.no_grad():
        mine.operation.distances.zero_()
    mask, sentences = sentences_of(x)
    torch.testing.assert_close(mine(x, sentences)[mask], theirs(x, sentences.scores)[mask])


def test_a_stack_of_feed_forward_layers_is_a_chain(x):
    layer = EncoderLayer("SA", "SDP", H, HEADS, (16, 8, 12))
    mine = initialised(lambda config: FlexiBertLayer(layer, H, config), small_config(ModelCard((layer,))))
    y = x
    for linear in list(mine.feed_forward)[:-1]:
        y = nn.functional.gelu(y @ linear.weight.T + linear.bias)
    last = mine.feed_forward[-1]
    torch.testing.assert_close(mine.feed_forward(x), y @ last.weight.T + last.bias)
    assert [tuple(linear.weight.shape) for linear in mine.feed_forward] == [(16, H), (8, 16), (12, 8), (H, 12)]
