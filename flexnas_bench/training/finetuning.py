"""Fine-tuning on a task of GLUE (appendix B.5), with early stopping.

A diverged training is a result: its score is NaN, and it says why.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from flexnas_bench.modeling import FlexiBertForSequenceClassification
from flexnas_bench.training.batches import step_seed
from flexnas_bench.training.examples import Encoded
from flexnas_bench.training.glue import Task
from flexnas_bench.training.optimization import adamw, rate, set_rate
from flexnas_bench.training.recipe import Finetuning
from flexnas_bench.training.vocabulary import TaskVocabulary

#: Examples at once where nothing is learned.
LOOK = 128


@dataclass
class Finetuned:
    """What came of it.

    Attributes:
        task: name.
        score: the best on the development set, in points; NaN where it diverged.
        scores: after each epoch.
        losses: mean over each epoch, of cross-entropy in nats or of squares.
        seconds: spent.
        learning_rate, batch_size: that were used.
        why: a score is NaN; empty otherwise.
    """

    task: str
    learning_rate: float
    batch_size: int
    score: float = math.nan
    scores: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    why: str = ""


class Diverged(Exception):  # noqa: N818 - no error of the user's
    """A loss or a gradient is not a number."""


class Finetuner:
    """A fine-tuning: the model in it ends as it was when it scored best.

    Args:
        model: with pre-trained weights, and a head of the task's size.
        task: which.
        training: examples to learn from.
        development: examples to score.
        settings: of the recipe.
        seed: of order and dropout.
        device: to train on.
    """

    def __init__(
        self,
        model: FlexiBertForSequenceClassification,
        task: Task,
        training: Encoded,
        development: Encoded,
        settings: Finetuning,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        model.to(device)  # type: ignore[arg-type]  # their wrapper mistakes it for a method of the class
        self.model, self._task, self._settings, self._seed = model, task, settings, seed
        self._training, self._development = training, development
        self._device = torch.device(device)
        if task.labels == 1:
            nn.init.constant_(model.classifier.out_proj.bias, float(training.labels.mean()))  # where scores begin
        self._vocabulary = TaskVocabulary(model, training.words())
        self._optimizer = adamw(model, settings)
        self._steps = settings.epochs * math.ceil(len(training) / settings.batch_size)
        self._step = 0

    def run(self, progress: Callable[[int, float], None] | None = None) -> Finetuned:
        """Trains until the last epoch, or until the score gets no better.

        Args:
            progress: told after each epoch its number, from 1, and its score.
        """
        started = time.monotonic()
        found = Finetuned(self._task.name, self._settings.learning_rate, self._settings.batch_size)
        best, best_epoch = dict[str, Tensor](), 0
        try:
            for epoch in range(1, self._settings.epochs + 1):
                found.losses.append(self._epoch(epoch))
                with self._vocabulary.whole():
                    found.scores.append(self._task.score(self.predict(self._development), self._development.labels))
                    if not math.isnan(found.scores[-1]) and not found.score >= found.scores[-1]:
                        found.score, best_epoch = found.scores[-1], epoch
                        best = {name: value.clone() for name, value in self.model.state_dict().items()}
                if progress is not None:
                    progress(epoch, found.scores[-1])
                if 0 < self._settings.patience <= epoch - best_epoch:
                    break
        except Diverged as error:
            found.score, found.why = math.nan, str(error)
        if not found.why and math.isnan(found.score):
            found.why = "no epoch has a score: predictions are all the same, or no numbers"
        self.model.set_input_embeddings(self._vocabulary.all_words)
        if best and not found.why:
            self.model.load_state_dict(best)
        found.seconds = time.monotonic() - started
        return found

    def _epoch(self, epoch: int) -> float:
        """Mean loss of an epoch; raises `Diverged`."""
        self.model.train()
        total = 0.0
        for ids, mask, labels in self._training.shuffled(self._settings.batch_size, self._seed, epoch):
            total += self._train(ids, mask, labels) * len(labels)
        return total / len(self._training)

    def _train(self, ids: Tensor, mask: Tensor, labels: NDArray[Any]) -> float:
        settings = self._settings
        warmup = round(settings.warmup * self._steps)
        set_rate(self._optimizer, rate(self._step, self._steps, warmup, settings.learning_rate))
        torch.manual_seed(step_seed(self._seed, self._step))
        places = self._vocabulary.places(ids.to(self._device))
        loss = self._loss(self._logits(places, mask), torch.from_numpy(labels).to(self._device))
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_norm or math.inf)
        if not torch.isfinite(norm):
            raise Diverged(f"step {self._step + 1} of {self._steps}: loss {loss.item():g}, gradient {norm.item():g}")
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._step += 1
        return loss.item()

    def _logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._settings.precision == "bfloat16"):
            return self.model(ids, mask.to(self._device)).logits.float()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return mse_loss(logits[:, 0], labels) if self._task.labels == 1 else cross_entropy(logits, labels)

    @torch.no_grad()
    def predict(self, examples: Encoded) -> NDArray[np.float32]:
        """Logits of examples, `n x labels`; the model must know all words."""
        self.model.eval()
        logits = np.empty((len(examples), self._task.labels), dtype=np.float32)
        for ids, mask, places in examples.ordered(LOOK):
            logits[places] = self._logits(ids.to(self._device), mask).cpu().numpy()
        return logits
