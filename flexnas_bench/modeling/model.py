"""The encoders as Hugging Face models: every card of every space, from its configuration (paper section 3.1).

config = FlexiBertConfig("flexibert-mini")
model = FlexiBertForMaskedLM(config)
model(input_ids, attention_mask).logits
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput, SequenceClassifierOutput
from transformers.utils.generic import can_return_tuple

from flexnas_bench.errors import FlexnasError, WeightsError, first_line
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.modeling.config import FlexiBertConfig
from flexnas_bench.modeling.dropout import Dropout
from flexnas_bench.modeling.folder import check_folder, read_config
from flexnas_bench.modeling.operations import OPERATIONS, Operation
from flexnas_bench.modeling.sentences import Sentences


class FeedForward(nn.Sequential):
    """A chain `h -> f_1 -> ... -> f_m -> h` with GELU between."""

    def __init__(self, layer: EncoderLayer) -> None:
        widths = pairwise((layer.hidden, *layer.feed_forward, layer.hidden))
        super().__init__(*(nn.Linear(a, b) for a, b in widths))

    def forward(self, x: Tensor) -> Tensor:
        """`... x h` to the same."""
        first, *others = self
        x = first(x)
        for linear in others:
            x = linear(gelu(x))
        return x


class FlexiBertLayer(GradientCheckpointingLayer):
    """An operation and a feed-forward stack, each added to its input and normalised; a projection to another width."""

    def __init__(self, layer: EncoderLayer, width: int, config: FlexiBertConfig) -> None:
        super().__init__()
        self.operation = OPERATIONS[layer.operation](layer, config)
        self.operation_norm = nn.LayerNorm(layer.hidden, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(layer)
        self.feed_forward_norm = nn.LayerNorm(layer.hidden, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.projection = nn.Identity() if width == layer.hidden else nn.Linear(layer.hidden, width)

    def forward(self, x: Tensor, sentences: Sentences) -> Tensor:
        """`batch x n x h` to `batch x n x width`, the width of the next layer."""
        x = self.operation_norm(x + self.dropout(self.operation(x, sentences)))
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return self.projection(x)


class FlexiBertEmbeddings(nn.Module):
    """Of tokens and of their types; positions are told by every layer."""

    def __init__(self, hidden: int, config: FlexiBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, hidden, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, types: Tensor | None) -> Tensor:
        """Embedded words `batch x n x h`, and types `batch x n`, all 0 if None, to `batch x n x h`."""
        weight = self.token_type_embeddings.weight
        x = words + (weight[0] if types is None else self.token_type_embeddings(types))
        return self.dropout(self.norm(x))


class FlexiBertPreTrainedModel(PreTrainedModel):
    """What Hugging Face wants to know of all models here."""

    config_class = FlexiBertConfig
    base_model_prefix = "encoder"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # so that a Trainer averages over accumulated batches by itself
    _supports_sdpa = True
    _no_split_modules = ["FlexiBertEmbeddings", "FlexiBertLayer"]  # noqa: RUF012 - the form they want

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **options: Any) -> Any:
        """As in transformers, but a folder must have whole weights, and those of the encoder that its card describes.

        Raises:
            WeightsError: for such a folder.
            InvalidCardError: its card is none.
        """
        if pretrained_model_name_or_path is not None and not options.get("variant"):  # whose files have other names
            folder = Path(pretrained_model_name_or_path, options.get("subfolder") or "")
            if folder.is_dir():
                check_folder(folder, FlexiBertModel)
        return super().from_pretrained(pretrained_model_name_or_path, *args, **options)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Operation):
            module.reset()


class FlexiBertModel(FlexiBertPreTrainedModel):
    """The encoder of a card, without a head.

    Args:
        config: says which card.
    """

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        layers = config.model_card.layers
        widths = [*(layer.hidden for layer in layers[1:]), layers[-1].hidden]
        self.embeddings = FlexiBertEmbeddings(layers[0].hidden, config)
        self.layers = nn.ModuleList(
            FlexiBertLayer(layer, width, config) for layer, width in zip(layers, widths, strict=True)
        )
        self._transforms = {layer.parameter for layer in layers if layer.operation == "LT"}
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Of the words."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Of the words."""
        self.embeddings.word_embeddings = value  # type: ignore[assignment]  # by those who know

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """Encodes sentences.

        Args:
            input_ids: `batch x n`.
            attention_mask: 0 at padding, `batch x n`; without one, there is none.
            token_type_ids: `batch x n`; without them, all are 0.
            inputs_embeds: `batch x n x h` of the first layer, instead of `input_ids`.
            output_hidden_states: whether to give the input of the first layer and the outputs of all.

        Raises:
            ValueError: for sentences longer than the model knows distances, for both inputs, or for none.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if words.shape[1] > self.config.max_position_embeddings:
            raise ValueError(f"{words.shape[1]} tokens are more than {self.config.max_position_embeddings}")
        x = self.embeddings(words, token_type_ids)
        sentences = Sentences.of(attention_mask, x, self._transforms)
        states = [x]
        for layer in self.layers:
            x = layer(x, sentences)
            states.append(x)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=x, hidden_states=tuple(states) if wanted else None)


class MaskedLMHead(nn.Module):
    """Back to the width of the embeddings, normalised, and compared with them."""

    def __init__(self, first: int, last: int, config: FlexiBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(last, first)
        self.norm = nn.LayerNorm(first, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(first, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        """`... x last` to `... x vocabulary`."""
        return self.decoder(self.narrow(x))

    def narrow(self, x: Tensor) -> Tensor:
        """`... x last` to `... x first`, which is compared with the embeddings."""
        return self.norm(gelu(self.dense(x)))


class FlexiBertForMaskedLM(FlexiBertPreTrainedModel):
    """An encoder that fills masked tokens in; its output is tied with its word embeddings.

    `ModelCard.parameters` counts this model.
    """

    _tied_weights_keys = {"lm_head.decoder.weight": "encoder.embeddings.word_embeddings.weight"}  # noqa: RUF012 - likewise

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        self.encoder = FlexiBertModel(config)
        self.lm_head = MaskedLMHead(config.model_card.layers[0].hidden, config.hidden_size, config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """What is tied with the input embeddings."""
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """What is tied with the input embeddings."""
        self.lm_head.decoder = new_embeddings

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> MaskedLMOutput:
        """Logits, `batch x n x vocabulary`, and with labels (`batch x n`, -100 for none) the mean loss in nats.

        Args and errors are those of `FlexiBertModel.forward`.
        """
        inputs = (input_ids, attention_mask, token_type_ids, inputs_embeds, output_hidden_states)
        found = self.encoder(*inputs, return_dict=True)
        logits = self.lm_head(found.last_hidden_state)
        loss = None if labels is None else self.loss_function(logits, labels, vocab_size=self.config.vocab_size)
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=found.hidden_states)


class ClassificationHead(nn.Module):
    """A hidden layer and a map to labels, of the first token."""

    def __init__(self, hidden: int, config: FlexiBertConfig) -> None:
        super().__init__()
        dropout = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dense = nn.Linear(hidden, hidden)
        self.dropout = Dropout(dropout)
        self.out_proj = nn.Linear(hidden, config.num_labels or 0)

    def forward(self, x: Tensor) -> Tensor:
        """`batch x n x h` to `batch x labels`."""
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(x[:, 0])))))


class FlexiBertForSequenceClassification(FlexiBertPreTrainedModel):
    """An encoder that tells sentences, or pairs of them, apart; with one label, a regression."""

    def __init__(self, config: FlexiBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.encoder = FlexiBertModel(config)
        self.classifier = ClassificationHead(config.hidden_size, config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """Logits, `batch x labels`, and with labels (`batch`) the loss that `config.problem_type` asks for.

        Args and errors are those of `FlexiBertModel.forward`.
        """
        inputs = (input_ids, attention_mask, token_type_ids, inputs_embeds, output_hidden_states)
        found = self.encoder(*inputs, return_dict=True)
        logits = self.classifier(found.last_hidden_state)
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=found.hidden_states)


def load_model(folder: Path) -> FlexiBertPreTrainedModel:
    """The model in a folder, of the class that wrote it, with all of its weights.

    Raises:
        WeightsError: the weights are missing, damaged, or those of another model.
        InvalidCardError: the card is none.
    """
    names = read_config(folder).architectures or []
    kinds = (FlexiBertForMaskedLM, FlexiBertForSequenceClassification)
    kind = next((kind for kind in kinds if kind.__name__ in names), FlexiBertModel)
    check_folder(folder, kind)
    try:
        return kind.from_pretrained(folder)
    except FlexnasError:
        raise
    except Exception as error:  # of a configuration that makes no sense, whatever it is that it breaks
        raise WeightsError(f"{folder}: cannot be loaded: {first_line(error)}") from None
