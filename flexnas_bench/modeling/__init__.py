"""The encoders as Hugging Face models; importing this makes `AutoConfig` and the `AutoModel`s know them."""

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from flexnas_bench.modeling.config import FlexiBertConfig
from flexnas_bench.modeling.model import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
    load_model,
)
from flexnas_bench.modeling.transfer import Transfer, transfer_weights

AutoConfig.register(FlexiBertConfig.model_type, FlexiBertConfig)
AutoModel.register(FlexiBertConfig, FlexiBertModel)
AutoModelForMaskedLM.register(FlexiBertConfig, FlexiBertForMaskedLM)
AutoModelForSequenceClassification.register(FlexiBertConfig, FlexiBertForSequenceClassification)

__all__ = [
    "FlexiBertConfig",
    "FlexiBertForMaskedLM",
    "FlexiBertForSequenceClassification",
    "FlexiBertModel",
    "Transfer",
    "load_model",
    "transfer_weights",
]
