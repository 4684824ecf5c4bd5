"""The configuration of an encoder: its model card, and what a card leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from flexnas_bench.card import ModelCard
from flexnas_bench.cost import POSITIONS, TOKEN_TYPES, VOCABULARY
from flexnas_bench.errors import InvalidCardError


class FlexiBertConfig(PreTrainedConfig):
    """A Hugging Face configuration that is made from a model card.

    >>> config = FlexiBertConfig("flexibert-mini")
    >>> config.num_hidden_layers, config.hidden_size, config.model_card.layers[0].label
    (4, 128, 'h256/SA-SDP')

    Args:
        card: a `ModelCard`, its dictionary `{l, o, h, n, f, p}`, its JSON, or a name such as `bert-tiny`; without one,
            BERT-Tiny. Kept as a dictionary, so that `config.json` has it.
        vocab_size: number of tokens.
        max_position_embeddings: longest sequence, in tokens; a layer knows as many distances to either side, less one.
        type_vocab_size: number of token types.
        hidden_dropout_prob: dropout of embeddings and of what is added to the residual path.
        attention_probs_dropout_prob: dropout of attention probabilities.
        classifier_dropout: dropout before the classifier; `hidden_dropout_prob` if not given.
        initializer_range: standard deviation of weights before training.
        layer_norm_eps: epsilon of layer norms.

    Raises:
        InvalidCardError: if the card is none.
    """

    model_type = "flexibert"

    def __init__(
        self,
        card: ModelCard | Mapping[str, Any] | str | None = None,
        vocab_size: int = VOCABULARY,
        max_position_embeddings: int = POSITIONS,
        type_vocab_size: int = TOKEN_TYPES,
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        classifier_dropout: float | None = None,
        initializer_range: float = 0.02,
        layer_norm_eps: float = 1e-12,
        pad_token_id: int | None = 1,
        bos_token_id: int | None = 0,
        eos_token_id: int | None = 2,
        tie_word_embeddings: bool = True,
        **others: Any,
    ) -> None:
        for settled in ("num_hidden_layers", "hidden_size"):
            if settled in others:
                raise InvalidCardError(f"{settled}: is settled by the card")
        self.card = _read(card).to_dict()
        self.vocab_size = vocab_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.classifier_dropout = classifier_dropout
        self.initializer_range = initializer_range
        self.layer_norm_eps = layer_norm_eps
        self.pad_token_id = pad_token_id
        self.bos_token_id = bos_token_id
        self.eos_token_id = eos_token_id
        self.tie_word_embeddings = tie_word_embeddings
        super().__init__(**others)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlexiBertConfig) and self._settings() == other._settings()

    __hash__ = None  # type: ignore[assignment]  # settings can be changed

    def _settings(self) -> dict[str, Any]:
        """Everything but where it was read from."""
        return {**self.to_dict(), "_name_or_path": None}

    @property
    def model_card(self) -> ModelCard:
        """The card."""
        return ModelCard.from_dict(self.card)

    @property
    def num_hidden_layers(self) -> int:
        """Number of encoder layers."""
        return self.model_card.num_layers

    @property
    def hidden_size(self) -> int:
        """Width of what the encoder returns: that of the last layer."""
        return self.model_card.layers[-1].hidden


def _read(card: ModelCard | Mapping[str, Any] | str | None) -> ModelCard:
    if isinstance(card, ModelCard):
        return card
    if isinstance(card, str):
        return ModelCard.from_json(card) if card.lstrip().startswith("{") else ModelCard.named(card)
    return ModelCard.named("bert-tiny") if card is None else ModelCard.from_dict(card)
