"""`export`: a card as the folder of a Hugging Face model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flexnas_bench.card import ModelCard
from flexnas_bench.cli.lookup import CardArgument, OverlapOption
from flexnas_bench.cli.output import Json, StoreOption, print_json, say
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.errors import OptionError
from flexnas_bench.loading import load_benchmark

if TYPE_CHECKING:
    from flexnas_bench.modeling import FlexiBertConfig
    from flexnas_bench.modeling.model import FlexiBertPreTrainedModel


def export(
    card: CardArgument,
    out: Annotated[Path, typer.Option(help="New or empty folder.")],
    labels: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help="A classifier of so many labels, 1 for regression; else as --weights, or a masked LM.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder of a trained model to take weights and settings from; random ones if not given."),
    ] = None,
    overlap: OverlapOption = THRESHOLD,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="Folder of a tokenizer to write beside; else that of --weights."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of random weights.")] = 0,
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write a card as the folder of a Hugging Face model, for `AutoModel` after `import flexnas_bench.modeling`."""
    import torch

    from flexnas_bench.modeling import load_model, transfer_weights
    from flexnas_bench.modeling.folder import check_new, quiet_libraries, write_model

    quiet_libraries()
    check_new(out)
    found = load_benchmark(store=store).card(card)
    donor = None if weights is None else load_model(weights)
    config = _config(found, labels, donor)
    if tokenizer is None and weights is not None and (weights / "tokenizer_config.json").exists():
        tokenizer = weights
    writers = [] if tokenizer is None else [_fitting(tokenizer, config).save_pretrained]
    torch.manual_seed(seed)
    model = _model(config, labels, donor)
    facts: dict[str, Any] = {
        "out": str(out),
        "class": type(model).__name__,
        "card": found.to_dict(),
        "hash": found.hash,
    }
    facts |= {
        "parameters": model.num_parameters(),
        "weights": f"random, seed {seed}" if weights is None else str(weights),
    }
    if donor is not None:
        facts["transfer"] = asdict(transfer_weights(model, donor, overlap))
    write_model(model, out, _provenance(facts), *writers)
    print_json(facts) if as_json else _show(facts)


def _config(card: ModelCard, labels: int | None, donor: FlexiBertPreTrainedModel | None) -> FlexiBertConfig:
    """Of the card, with a donor's settings for the rest, and with other labels if they are asked for."""
    from flexnas_bench.modeling import FlexiBertConfig

    config = FlexiBertConfig(card)
    if donor is not None:
        config = FlexiBertConfig.from_dict(donor.config.to_dict() | {"card": card.to_dict()})
    if labels is not None and labels != config.num_labels:
        config.num_labels = labels
    return config


def _model(
    config: FlexiBertConfig, labels: int | None, donor: FlexiBertPreTrainedModel | None
) -> FlexiBertPreTrainedModel:
    """A classifier if labels are asked for or the donor is one, else a masked LM."""
    from flexnas_bench.modeling import FlexiBertForMaskedLM, FlexiBertForSequenceClassification

    if labels is not None or isinstance(donor, FlexiBertForSequenceClassification):
        return FlexiBertForSequenceClassification(config)
    return FlexiBertForMaskedLM(config)


def _fitting(folder: Path, config: FlexiBertConfig) -> Any:
    """A tokenizer with no more words than the model, which takes over its marks; it takes over the model's length."""
    from flexnas_bench.modeling.folder import load_tokenizer

    tokenizer = load_tokenizer(folder)
    if len(tokenizer) > config.vocab_size:
        raise OptionError(
            f"--tokenizer: {len(tokenizer):,} tokens are more than the {config.vocab_size:,} of the model"
        )
    for mark in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(config, mark, getattr(tokenizer, mark))
    tokenizer.model_max_length = config.max_position_embeddings
    return tokenizer


def _provenance(facts: dict[str, Any]) -> str:
    """Where the weights are from."""
    if (taken := facts.get("transfer")) is None:
        return f"weights: {facts['weights']}"
    parts = {part: taken[part] for part in ("embeddings", "head")}
    layers = f"{taken['layers']} of {facts['card']['l']} layers ({taken['fraction']:.2f})"
    text = f"weights: {', '.join([layers, *(part for part in parts if parts[part])])} from {facts['weights']}"
    rest = " and ".join(part for part in parts if not parts[part])
    return f"{text}; random: {rest}" if rest else text


def _show(facts: dict[str, Any]) -> None:
    say(f"{facts['out']}: {facts['class']} of {facts['parameters']:,} parameters, card {facts['hash']}")
    say(_provenance(facts))
