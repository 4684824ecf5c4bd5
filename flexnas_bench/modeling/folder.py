"""Folders of models: checked before they are loaded, and written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from flexnas_bench.errors import OptionError, WeightsError
from flexnas_bench.modeling.config import FlexiBertConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG, CARD, WEIGHTS, SHARDS = "config.json", "card.json", "model.safetensors", "model.safetensors.index.json"


def read_config(folder: Path) -> FlexiBertConfig:
    """The configuration in a folder.

    Raises:
        WeightsError: there is none, or it has no card.
        InvalidCardError: the card is none.
    """
    path = folder / CONFIG
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: {getattr(error, 'strerror', None) or 'not JSON'}") from None
    if not isinstance(values, dict) or not values.get("card"):
        raise WeightsError(f"{path}: no model card; not the folder of a FlexiBERT model")
    config: FlexiBertConfig = FlexiBertConfig.from_dict(values)
    return config


def check_folder(folder: Path, encoder: Callable[[FlexiBertConfig], nn.Module]) -> None:
    """Checks that a folder has the weights of the encoder that its card describes; a head may be missing.

    Args:
        folder: of a saved model.
        encoder: makes the encoder of a configuration.

    Raises:
        WeightsError: the weights are missing, damaged, or those of another model.
        InvalidCardError: the card is none.
    """
    config = read_config(folder)
    if (folder / SHARDS).exists():
        return  # a model of many files, which transformers looks at
    with torch.device("meta"):
        needed = {name: tuple(value.shape) for name, value in encoder(config).state_dict().items()}
    path = folder / WEIGHTS
    found = _shapes(path)
    for name, shape in needed.items():
        have = found.get(f"encoder.{name}", found.get(name))
        if have is None:
            raise WeightsError(f"{path}: no {name}, which the model card needs; are these weights of another model?")
        if have != shape:
            raise WeightsError(f"{path}: {name} has shape {have}, and the model card needs {shape}")


def write_model(model: PreTrainedModel, folder: Path, *others: Callable[[Path], Any]) -> None:
    """Writes a model with its card, and what `others` write, to a new or empty folder.

    Raises:
        OptionError: there is something in the folder.
        OSError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder}: is there already; choose a new or empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        model.save_pretrained(temporary)
        (temporary / CARD).write_text(json.dumps(model.config.card) + "\n")
        for write in others:
            write(temporary)
        temporary.replace(folder)
    except SafetensorError as error:
        raise WeightsError(f"{folder}: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    if not path.exists():
        raise WeightsError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file: {error}") from None
