"""Masked language modelling (appendix B.5), from which a killed run goes on as if nothing had been.

Batches, masks and dropout of a step follow from the seed and the number of the step. So a checkpoint needs no state of
a sampler or a generator, but the weights, what AdamW knows, and how far it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from flexnas_bench.modeling import FlexiBertForMaskedLM
from flexnas_bench.storage import write_bytes
from flexnas_bench.training.batches import IGNORED, MaskedBatches, step_seed
from flexnas_bench.training.candidates import Candidates
from flexnas_bench.training.interruption import postponed
from flexnas_bench.training.optimization import adamw, rate, set_rate
from flexnas_bench.training.recipe import Pretraining, digest
from flexnas_bench.training.vocabulary_loss import vocabulary_loss

CHECKPOINT = "pretraining.safetensors"
#: What AdamW keeps of each parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
#: Seconds between checkpoints.
INTERVAL = 60.0
#: Steps in a row without a finite loss after which a training counts as diverged, and ends.
PATIENCE = 20


class Pretrainer:
    """A pre-training under way.

    Args:
        model: to train, in place.
        settings: of the recipe.
        batches: of the corpus.
        folder: of the checkpoint; goes on from one that is there, of the same recipe, seed and card.
        device: to train on.

    Attributes:
        step: steps done.
        seconds: spent on them, over all runs.
        losses: mean loss in nats of each step.
        why: it diverged; empty where it did not.
    """

    def __init__(
        self,
        model: FlexiBertForMaskedLM,
        settings: Pretraining,
        batches: MaskedBatches,
        folder: Path,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model, self.settings, self.batches = model, settings, batches
        model.to(device)  # type: ignore[arg-type]  # their wrapper mistakes it for a method of the class
        self.step, self.seconds, self.losses, self.why = 0, 0.0, list[float](), ""
        self._device = torch.device(device)
        self._optimizer = adamw(model, settings)
        self._path = folder / CHECKPOINT
        self._candidates = None
        if settings.candidates:
            vocabulary = model.config.vocab_size
            self._candidates = Candidates.of(batches.corpus, vocabulary, settings.candidates, batches.seed)
        facts = {
            "card": model.config.card,
            "recipe": digest(settings),
            "seed": batches.seed,
            "tokens": len(batches.corpus),
        }
        self._identity = json.dumps(facts, sort_keys=True)
        self._resume()

    def run(self, progress: Callable[[int], None] | None = None) -> None:
        """Trains to the end, with a checkpoint every minute, at the end, and when somebody interrupts it."""
        self.model.train()
        started, saved = time.monotonic() - self.seconds, time.monotonic()
        with postponed() as interruption:
            while self.step < self.settings.steps and not self.why:
                self.losses.append(self._train())
                self.step += 1
                self.seconds = time.monotonic() - started
                if not any(map(isfinite, self.losses[-PATIENCE:])):
                    self.why = f"no finite loss in the {len(self.losses[-PATIENCE:])} steps up to {self.step}"
                ended = self.why or self.step == self.settings.steps
                if ended or interruption.asked or time.monotonic() - saved > INTERVAL:
                    self.save()
                    saved = time.monotonic()
                interruption.give_way()
                if progress is not None:
                    progress(self.step)

    def _train(self) -> float:
        """One step; returns the loss, NaN where it is not finite, and then changes nothing."""
        settings = self.settings
        set_rate(self._optimizer, rate(self.step, settings.steps, settings.warmup_steps, settings.learning_rate))
        torch.manual_seed(step_seed(self.batches.seed, self.step))
        ids, labels = (part.to(self._device) for part in self.batches[self.step])
        told = max(int((labels != IGNORED).sum()), 1)
        size = settings.micro_batch_size or settings.batch_size
        loss = 0.0
        for some_ids, some_labels in zip(ids.split(size), labels.split(size), strict=True):
            part = self._loss(some_ids, some_labels) / told
            part.backward()
            loss += part.item()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_norm or float("inf"))
        if torch.isfinite(norm):
            self._optimizer.step()
        self._optimizer.zero_grad()
        return loss

    def _loss(self, ids: Tensor, labels: Tensor) -> Tensor:
        """Sum of the losses of the tokens to be told; the vocabulary, or a part of it, is looked at for them alone."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            states = self.model.encoder(ids).last_hidden_state
            told = labels != IGNORED
            narrow, words, decoder = self.model.lm_head.narrow(states[told]), labels[told], self.model.lm_head.decoder
            if self._candidates is None:
                return vocabulary_loss(narrow, decoder.weight, decoder.bias, words)
            some, logs, places = self._candidates.draw(self.step, words)
            return vocabulary_loss(narrow, decoder.weight[some], decoder.bias[some] - logs, places, logs[places])

    def save(self) -> None:
        """Writes the checkpoint, whole or not at all."""
        tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in self._parameters().items()}
        for name, value in self._parameters().items():
            for moment, state in self._optimizer.state.get(value, {}).items():
                tensors[f"{moment}.{name}"] = state
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        facts = {"identity": self._identity, "step": str(self.step), "seconds": repr(self.seconds)}
        write_bytes(self._path, save({name: value.contiguous() for name, value in tensors.items()}, facts))

    def _parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters())

    @torch.no_grad()
    def _resume(self) -> None:
        """Takes over a checkpoint; one that is damaged, or of another training, counts as none."""
        try:
            with safe_open(self._path, "pt") as file:
                facts: Any = file.metadata() or {}
                if facts.get("identity") != self._identity:
                    return
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError):
            return
        for name, value in self._parameters().items():
            value.copy_(tensors[f"model.{name}"])
            states = {moment: tensors[f"{moment}.{name}"] for moment in MOMENTS if f"{moment}.{name}" in tensors}
            self._optimizer.state[value] = {moment: state.to(value.device) for moment, state in states.items()}
        self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.losses = tensors["losses"].tolist()
