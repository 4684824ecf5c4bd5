"""`export`: a card as the folder of a Hugging Face model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexnas_bench.cli.lookup import CardArgument
from flexnas_bench.cli.output import Json, StoreOption, print_json, say
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.errors import OptionError
from flexnas_bench.loading import load_benchmark

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def export(
    card: CardArgument,
    out: Annotated[Path, typer.Option(help="New or empty folder.")],
    labels: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="A classifier of so many labels (1: a regression) instead of a masked LM."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder of a trained model to take weights from; random ones if not given.")
    ] = None,
    overlap: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of layers in common, from the input on, with that model.")
    ] = THRESHOLD,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of a tokenizer, which is written beside.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights.")] = 0,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write a card as the folder of a Hugging Face model, for `AutoModel` after `import flexnas_bench.modeling`."""
    import torch
    from transformers.utils import logging

    from flexnas_bench.modeling import (
        FlexiBertConfig,
        FlexiBertForMaskedLM,
        FlexiBertForSequenceClassification,
        load_model,
        transfer_weights,
    )
    from flexnas_bench.modeling.folder import write_model

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    found = load_benchmark(store=store).card(card)
    written = [] if tokenizer is None else [_load_tokenizer(tokenizer).save_pretrained]
    torch.manual_seed(seed)
    model: PreTrainedModel
    if labels is None:
        model = FlexiBertForMaskedLM(FlexiBertConfig(found))
    else:
        model = FlexiBertForSequenceClassification(FlexiBertConfig(found, num_labels=labels))
    facts: dict[str, Any] = {
        "out": str(out),
        "class": type(model).__name__,
        "card": found.to_dict(),
        "hash": found.hash,
    }
    facts["parameters"] = model.num_parameters()
    facts["weights"] = f"random, seed {seed}" if weights is None else str(weights)
    if weights is not None:
        facts["transfer"] = asdict(transfer_weights(model, load_model(weights), overlap))
    write_model(model, out, *written)
    print_json(facts) if as_json else _show(facts)


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    if not folder.is_dir():
        raise OptionError(f"--tokenizer: {folder} is no folder")
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever the many tokenizers raise, one line of it
        reason = str(error).partition("\n")[0]
        raise OptionError(f"--tokenizer: {folder}: {reason}") from None


def _show(facts: dict[str, Any]) -> None:
    say(f"{facts['out']}: {facts['class']} of {facts['parameters']:,} parameters, card {facts['hash']}")
    if (taken := facts.get("transfer")) is None:
        say(f"weights: {facts['weights']}")
        return
    beside = [part for part in ("embeddings", "head") if taken[part]]
    layers = f"{taken['layers']} of {facts['card']['l']} layers ({taken['fraction']:.2f})"
    say(f"weights: {', '.join([layers, *beside])} from {facts['weights']}; what else there is, random")
