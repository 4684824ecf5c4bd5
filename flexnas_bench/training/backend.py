"""A card becomes measured rows: pre-trained or given a neighbour's weights, fine-tuned task by task, written down.

The folder of a training has its weights, whole or not at all, and a journal with a line for each finished task. So what
was finished when a training was interrupted is not trained again, and nothing is counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.embedding.loading import load_embedding
from flexnas_bench.errors import ResultConflictError, TransferRefusedError
from flexnas_bench.modeling import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    load_model,
    transfer_weights,
)
from flexnas_bench.modeling.folder import write_model
from flexnas_bench.records import Training
from flexnas_bench.results import SCRATCH
from flexnas_bench.store import Store
from flexnas_bench.training.donors import FACTS, Donor, find_donors, nearest_donor
from flexnas_bench.training.finetuning import Finetuned, Finetuner
from flexnas_bench.training.glue import task_of
from flexnas_bench.training.materials import Materials
from flexnas_bench.training.pretraining import CHECKPOINT, Pretrainer
from flexnas_bench.training.protocol import Protocol
from flexnas_bench.training.provenance import hardware, packages
from flexnas_bench.training.recipe import Finetuning, digest
from flexnas_bench.training.tuning import Report, Trial, tune
from flexnas_bench.training.workplace import CLASSIFIERS, JOURNAL, MODEL, TaskJournal, claim_folder

#: Points of a learning curve that is kept, at most.
POINTS = 500
#: Vectors whose distances decide between donors.
EMBEDDING = "t2v-g1-d16"
Progress = Callable[[str, int, float], None]


class Backend:
    """Trains cards under a protocol, on one device.

    Args:
        protocol: the recipe.
        data: folder of data, see `Materials`.
        store: where scores go.
        device: to train on.
        overlap: fraction of its layers that a card must share with a donor, from the input on (section 3.3.3).
        keep: whether to write fine-tuned models too.
    """

    def __init__(
        self,
        protocol: Protocol,
        data: Path | None = None,
        store: Store | None = None,
        device: torch.device | str = "cpu",
        overlap: float = THRESHOLD,
        keep: bool = False,
    ) -> None:
        self.protocol, self.store, self.materials = protocol, store, Materials(protocol, data)
        self._device, self._overlap, self._keep = torch.device(device), overlap, keep

    def train(
        self,
        card: ModelCard,
        tasks: Sequence[str],
        out: Path,
        seed: int = 0,
        donors: Sequence[Path] = (),
        progress: Progress | None = None,
        must_transfer: bool = False,
    ) -> list[Training]:
        """Trains a card, or goes on with a training that was interrupted.

        Args:
            card: what to train.
            tasks: names of GLUE's.
            out: folder of the training.
            seed: of everything that is random, and number of the replicate.
            donors: folders with pre-trained models; none for a training from scratch.
            progress: told what is done, how much of it, and of how much.
            must_transfer: whether not to pre-train where donors are given and none has weights for this card.

        Returns:
            A row for each task, in order; each is in the store as soon as the task is finished.

        Raises:
            DataError: something to train on is missing or damaged; nothing has been trained then.
            RunMismatchError: the folder holds another training.
            TransferRefusedError: no donor has weights for this card, and it must get some.
            ResultConflictError: the store has scores of this card and seed from another folder, or of other settings
                under the name of the protocol.
            BusyError: another process is at it.
        """
        for task in tasks:
            self.materials.task(task)
        claim_folder(out, card, self.protocol, seed)
        if self.store is not None:
            self.store.describe(self.protocol.name, self.protocol.facts, self.protocol.hash)
        with TaskJournal(out / JOURNAL) as journal:
            missing = [task for task in tasks if journal.finished(task) is None]
            if not donors:
                self._check_new(card, seed, SCRATCH, missing)  # before a pre-training that nobody wants
            facts = self._weights(card, out, seed, donors, progress, must_transfer)
            self._check_new(card, seed, facts["init"], missing)
            rows = []
            for task in dict.fromkeys(tasks):
                record = journal.finished(task) or self._task(task, out, seed, facts, journal, progress)
                rows.append(self._row(card, seed, facts, record))
                if self.store is not None:
                    self.store.append(rows[-1])
        return rows

    def _check_new(self, card: ModelCard, seed: int, init: str, tasks: Sequence[str]) -> None:
        """Raises `ResultConflictError` where the store has one of these tasks already."""
        if self.store is None:
            return
        for row in self.store.rows():
            key = (row["hash"], row["protocol"], row["init"], row["replicate"])
            if key == (card.hash, self.protocol.name, init, seed) and row["task"] in tasks:
                raise ResultConflictError(
                    f"{self.store.folder} has {row['task']} of card {card.hash[:12]}... and seed {seed} already, from "
                    "another folder; another training needs another seed"
                )

    def _weights(
        self,
        card: ModelCard,
        out: Path,
        seed: int,
        donors: Sequence[Path],
        progress: Progress | None,
        must_transfer: bool,
    ) -> dict[str, Any]:
        """What is known of the pre-trained weights in the folder, which are made if they are not there."""
        if not (out / MODEL / FACTS).exists():
            found = find_donors(donors, digest(self.protocol.pretraining))
            donor = nearest_donor(card, found, load_embedding(EMBEDDING), self._overlap) if found else None
            if donor is not None:
                self._transfer(card, out, seed, donor)
            elif donors and must_transfer:
                raise TransferRefusedError(f"{donors[0]} has no weights for card {card.hash[:12]}...")
            else:
                self._pretrain(card, out, seed, progress)
        facts: dict[str, Any] = json.loads((out / MODEL / FACTS).read_bytes())
        return facts

    def _config(self, card: ModelCard, dropout: float, **others: Any) -> FlexiBertConfig:
        return FlexiBertConfig(card, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **others)

    def _transfer(self, card: ModelCard, out: Path, seed: int, donor: Donor) -> None:
        torch.manual_seed(seed)
        model = FlexiBertForMaskedLM(self._config(card, self.protocol.pretraining.dropout))
        taken = transfer_weights(model, load_model(donor.folder), self._overlap)
        facts = donor.facts | {"init": donor.card.hash, "layers": taken.layers, "curve": []}
        self._write(
            model, out, facts, f"weights: {taken.layers} of {card.num_layers} layers from card {donor.card.hash}"
        )

    def _pretrain(self, card: ModelCard, out: Path, seed: int, progress: Progress | None) -> None:
        settings = self.protocol.pretraining
        torch.manual_seed(seed)
        model = FlexiBertForMaskedLM(self._config(card, settings.dropout))
        facts: dict[str, Any] = {
            "init": SCRATCH,
            "recipe": digest(settings),
            "steps": settings.steps,
            "seconds": 0.0,
            "why": "",
            "curve": [],
            "hardware": hardware(self._device),
            "packages": packages(),
        }
        if settings.steps:
            batches = self.materials.batches(seed, progress)
            trainer = Pretrainer(model, settings, batches, out, self._device)
            trainer.run(None if progress is None else lambda step: progress("pre-training", step, settings.steps))
            facts |= {"seconds": trainer.seconds, "why": trainer.why, "curve": _thinned(trainer.losses)}
        self._write(model, out, facts, f"weights: pre-trained under protocol {self.protocol.name}, seed {seed}")
        (out / CHECKPOINT).unlink(missing_ok=True)

    def _write(self, model: FlexiBertForMaskedLM, out: Path, facts: dict[str, Any], weights: str) -> None:
        tokenizer = self.materials.tokenizer.save_pretrained
        write_model(
            model, out / MODEL, weights, tokenizer, lambda folder: (folder / FACTS).write_text(json.dumps(facts))
        )

    def _task(
        self,
        task: str,
        out: Path,
        seed: int,
        facts: dict[str, Any],
        journal: TaskJournal,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """Fine-tunes on one task and writes what came of it."""
        settings = self.protocol.finetuning[task]
        if facts["why"]:
            found = Finetuned(task, settings.learning_rate, settings.batch_size, why=f"pre-training: {facts['why']}")
            return journal.add(found, facts["hardware"], facts["packages"])
        if settings.trials:
            settings = self._tuned(task, out, seed, settings, journal, progress)
        finetuner = self._finetuner(task, out, settings, seed)
        report: Report | None = None if progress is None else lambda n, _: progress(task, n, settings.epochs)
        found = finetuner.run(report)
        found.seconds += sum(trial["seconds"] for trial in journal.trials(task))
        if self._keep and not found.why and not (out / CLASSIFIERS / task).exists():
            weights = f"weights: fine-tuned on {task} under protocol {self.protocol.name}, seed {seed}"
            write_model(finetuner.model, out / CLASSIFIERS / task, weights, self.materials.tokenizer.save_pretrained)
        return journal.add(found, hardware(self._device), packages())

    def _tuned(
        self,
        task: str,
        out: Path,
        seed: int,
        settings: Finetuning,
        journal: TaskJournal,
        progress: Progress | None,
    ) -> Finetuning:
        """Settings as the best trial has them."""

        def tell(trial: Trial) -> None:
            journal.append({"task": task, "trial": dict(trial)})
            if progress is not None:
                progress(f"{task}, trials", len(journal.trials(task)), settings.trials)

        def attempt(tried: Finetuning, report: Report) -> Finetuned:
            return self._finetuner(task, out, tried, seed).run(report)

        return tune(attempt, settings, seed, journal.trials(task), tell)

    def _finetuner(self, task: str, out: Path, settings: Finetuning, seed: int) -> Finetuner:
        """A classifier with the pre-trained weights and a new head, ready to be trained."""
        donor, facts = load_model(out / MODEL), task_of(task)
        seed = int(sha256(f"{seed} {task}".encode()).hexdigest()[:8], 16)
        torch.manual_seed(seed)
        model = FlexiBertForSequenceClassification(
            self._config(donor.config.model_card, settings.dropout, num_labels=facts.labels)
        )
        transfer_weights(model, donor)
        training, development = self.materials.task(task)
        return Finetuner(model, facts, training, development, settings, seed, self._device)

    def _row(self, card: ModelCard, seed: int, facts: dict[str, Any], record: dict[str, Any]) -> Training:
        task = record["task"]
        identity = "|".join((card.hash, self.protocol.hash, facts["init"], str(seed), task))
        return Training(
            card=card,
            protocol=self.protocol.name,
            scores={task: float("nan") if record["score"] is None else record["score"]},
            init=facts["init"],
            replicate=seed,
            seed=seed,
            pretrain_steps=facts["steps"],
            pretrain_seconds=facts["seconds"],
            finetune_seconds=record["seconds"],
            hardware=record["hardware"],
            run_id=sha256(identity.encode()).hexdigest()[:16],
            protocol_hash=self.protocol.hash,
            packages=record["packages"],
            note=record["why"] or None,
        )


def _thinned(losses: Sequence[float]) -> list[list[float]]:
    """Steps and mean losses since the point before; none where a loss was no number."""
    parts = np.array_split(np.asarray(losses), max(min(len(losses), POINTS), 1))
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return [
        [end, float(part.mean())]
        for end, part in zip(ends, parts, strict=True)
        if len(part) and np.isfinite(part).all()
    ]
