"""Tokens a second of the training backend beside the `Trainer` of transformers, on one model and one set of data.

Both train the card's model, from `flexnas_bench.modeling`, with fused AdamW in float32 and the same batch size. Trainer
has the collators of transformers: batches in random order, padded to their longest example, and logits of all tokens in
masked language modelling. Tokens are those of the text: padding does not count.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from flexnas_bench import ModelCard
from flexnas_bench.modeling import FlexiBertConfig, FlexiBertForMaskedLM, FlexiBertForSequenceClassification
from flexnas_bench.training.finetuning import Finetuner
from flexnas_bench.training.glue import task_of
from flexnas_bench.training.materials import Materials
from flexnas_bench.training.pretraining import Pretrainer
from flexnas_bench.training.protocol import load_protocol
from flexnas_bench.training.recipe import Finetuning, Pretraining

#: Steps that are not timed, and steps of a run.
WARMUP, STEPS = 3, 20


def main() -> None:
    """Prints a line a task and one of pre-training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--card", default="bert-tiny")
    parser.add_argument("--tasks", default="sst2,cola,mrpc,qnli,rte")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--protocol", default="cpu-lite")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    protocol, card = load_protocol(options.protocol), ModelCard.named(options.card)
    materials, candidates = Materials(protocol, options.data), protocol.pretraining.candidates
    print(f"{options.card}, protocol {options.protocol}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("| what | ours, tokens/s | Trainer, tokens/s | ours / Trainer |\n|---|---|---|---|")
    for task in filter(None, options.tasks.split(",")):
        _show(f"fine-tuning, {task}", _finetuning(materials, protocol.finetuning[task], card, task), options.runs)
    whole = replace(protocol.pretraining, candidates=0)
    _show("pre-training, the whole vocabulary", _pretraining(materials, whole, card), options.runs)
    if candidates:
        some = _pretraining(materials, protocol.pretraining, card)
        _show(f"pre-training, {candidates:,} candidates", some, options.runs)


Pair = tuple[Callable[[], float], Callable[[], float]]


def _show(what: str, pair: Pair, runs: int) -> None:
    """Medians of runs that take turns."""
    rates = [(ours(), theirs()) for ours, theirs in [pair] * runs]
    ours, theirs = (median(one) for one in zip(*rates, strict=True))
    print(f"| {what} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |", flush=True)


def _rate(tokens: list[int], moments: list[float]) -> float:
    """Tokens a second of the steps after the first ones; a moment before each step and one at the end."""
    return sum(tokens[WARMUP:]) / (moments[-1] - moments[WARMUP])


def _finetuning(materials: Materials, settings: Finetuning, card: ModelCard, name: str) -> Pair:
    task, (training, development) = task_of(name), materials.task(name)

    def model() -> FlexiBertForSequenceClassification:
        return FlexiBertForSequenceClassification(FlexiBertConfig(card, num_labels=task.labels))

    def ours() -> float:
        finetuner = Finetuner(model(), task, training, development, settings, 0)
        batches = islice(training.shuffled(settings.batch_size, 0, 1), WARMUP + STEPS)
        tokens, moments = [], []
        for ids, mask, labels in batches:
            moments.append(time.perf_counter())
            finetuner._train(ids, mask, labels)
            tokens.append(int(mask.sum()))
        return _rate(tokens, [*moments, time.perf_counter()])

    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label}
        for ids, label in zip(training.ids, training.labels.tolist(), strict=True)
    ]
    collator = DataCollatorWithPadding(materials.tokenizer)
    return ours, lambda: _trainer(model(), rows, collator, settings.batch_size)


def _pretraining(materials: Materials, settings: Pretraining, card: ModelCard) -> Pair:
    batches = materials.batches(0)

    def ours() -> float:
        with TemporaryDirectory() as folder:
            trainer = Pretrainer(FlexiBertForMaskedLM(FlexiBertConfig(card)), settings, batches, Path(folder))
            trainer.model.train()
            moments = []
            for _ in range(WARMUP + STEPS):
                moments.append(time.perf_counter())
                trainer._train()
                trainer.step += 1
            return _rate([settings.batch_size * settings.length] * len(moments), [*moments, time.perf_counter()])

    def blocks() -> Iterator[dict[str, Any]]:
        for number in range(settings.batch_size * (WARMUP + STEPS)):
            text = batches.corpus.read(number * (settings.length - 2), settings.length - 2).tolist()
            yield {"input_ids": [0, *text, 2]}

    rows = list(blocks())
    collator = DataCollatorForLanguageModeling(materials.tokenizer, mlm_probability=settings.masked)
    return ours, lambda: _trainer(FlexiBertForMaskedLM(FlexiBertConfig(card)), rows, collator, settings.batch_size)


class _Clock(TrainerCallback):
    """Moments at which steps begin."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.moments.append(time.perf_counter())


def _trainer(model: Any, rows: list[dict[str, Any]], collator: Any, size: int) -> float:
    clock, tokens = _Clock(), list[int]()

    def counted(batch: list[dict[str, Any]]) -> Any:
        tokens.append(sum(len(row["input_ids"]) for row in batch))
        return collator(batch)

    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=size,
            max_steps=WARMUP + STEPS,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = Trainer(model, arguments, data_collator=counted, train_dataset=rows, callbacks=[clock])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return _rate(tokens[: len(clock.moments)], [*clock.moments, time.perf_counter()])


if __name__ == "__main__":
    main()
