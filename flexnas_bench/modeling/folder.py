"""Folders of models: checked before they are loaded, and written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from transformers.utils import logging

from flexnas_bench.errors import DataError, InvalidCardError, OptionError, WeightsError, first_line, shown
from flexnas_bench.modeling.config import FlexiBertConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG, CARD, WEIGHTS, SHARDS = "config.json", "card.json", "model.safetensors", "model.safetensors.index.json"
#: What a folder says of itself to people.
README = """A model of flexnas-bench: {kind} of {parameters:,} parameters; {provenance}.

    import flexnas_bench.modeling  # tells transformers of it
    from transformers import {auto}

    model = {auto}.from_pretrained("FOLDER")

`card.json` is its model card, hash {hash}.
"""


def quiet_libraries() -> None:
    """Keeps warnings and progress bars of transformers away, for programs that have bars of their own."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


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
    if values.get("model_type") != FlexiBertConfig.model_type:
        raise WeightsError(f"{path}: the model type is {shown(values.get('model_type'))}, not flexibert")
    try:
        config: FlexiBertConfig = FlexiBertConfig.from_dict(values)
    except InvalidCardError as error:
        raise InvalidCardError(f"{path}: {error}") from None
    except Exception as error:  # whatever a setting that makes no sense breaks
        raise WeightsError(f"{path}: {first_line(error)}") from None
    return config


def check_folder(folder: Path, make: type[PreTrainedModel]) -> None:
    """Checks that a folder has the weights that its card and a class of models need.

    Args:
        folder: of a saved model.
        make: the class; the encoder is found in files of whole models too.

    Raises:
        WeightsError: the weights are missing, damaged, or those of another model.
        InvalidCardError: the card is none.
    """
    config, prefix = read_config(folder), f"{make.base_model_prefix}."
    found = _shapes(folder)
    try:
        with torch.device("meta"):
            model = make(config)
    except Exception as error:  # whatever a setting that makes no sense breaks
        raise WeightsError(f"{folder / CONFIG}: {first_line(error)}") from None
    for name, value in model.named_parameters():  # those that are tied once, as files have them
        names = (name, f"{prefix}{name}", name.removeprefix(prefix))
        have, shape = next((found[one] for one in names if one in found), None), tuple(value.shape)
        if have is None:
            raise WeightsError(f"{folder}: no weights {name}, which the model card needs; are these of another model?")
        if have != shape:
            raise WeightsError(f"{folder}: weights {name} have shape {have}, and the model card needs {shape}")


def check_new(folder: Path) -> Path:
    """The whole path of a folder that is not there, or is empty; raises `OptionError` for another."""
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder}: is there already; choose a new or empty folder")
    return folder


def write_model(model: PreTrainedModel, folder: Path, provenance: str, *others: Callable[[Path], Any]) -> None:
    """Writes a model with its card to a new or empty folder.

    Args:
        model: to write.
        folder: new or empty.
        provenance: where its weights are from, for the README.
        others: write what belongs beside it.

    Raises:
        OptionError: there is something in the folder.
        OSError: it cannot be written.
    """
    folder = check_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        model.save_pretrained(temporary)
        (temporary / CARD).write_text(json.dumps(model.config.card) + "\n")
        (temporary / "README.md").write_text(_describe(model, provenance))
        for write in others:
            write(temporary)
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(folder)
    except SafetensorError as error:
        if os.strerror(errno.ENOSPC) in str(error):  # which is nobody's mistake, and says so in words alone
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from None
        raise WeightsError(f"{folder}: {error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _describe(model: PreTrainedModel, provenance: str) -> str:
    kind = type(model).__name__
    return README.format(
        kind=kind,
        auto="AutoModelForMaskedLM" if "MaskedLM" in kind else "AutoModelForSequenceClassification",
        parameters=model.num_parameters(),
        provenance=provenance,
        hash=model.config.model_card.hash,
    )


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder; raises `DataError` where there is none."""
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever the many tokenizers raise
        raise DataError(f"{folder}: no tokenizer: {first_line(error)}") from None


def _shapes(folder: Path) -> Mapping[str, tuple[int, ...]]:
    """Shapes of all weights in a folder, of one file or of several that an index lists."""
    found: dict[str, tuple[int, ...]] = {}
    for path in _files(folder):
        if not path.exists():
            raise WeightsError(f"{path}: no such file")
        try:
            with safe_open(path, "pt") as file:
                found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not a whole safetensors file: {first_line(error)}") from None
    return found


def _files(folder: Path) -> list[Path]:
    index = folder / SHARDS
    if (folder / WEIGHTS).exists() or not index.exists():
        return [folder / WEIGHTS]
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        return [folder / Path(name).name for name in sorted(names)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(f"{index}: no list of files") from None
