"""The tables of results: their schemas and what their words mean (one row a training, one row a score)."""

from __future__ import annotations

import math

from flexnas_bench.storage import table_schema

#: The metric of each GLUE task; scores are points x100, higher is better.
GLUE_METRICS = {
    "cola": "matthews",
    "mnli": "accuracy",
    "mrpc": "accuracy",
    "qnli": "accuracy",
    "qqp": "accuracy",
    "rte": "accuracy",
    "sst2": "accuracy",
    "stsb": "spearman",
}
#: Name of the mean of the eight tasks above (GLUE without WNLI).
GLUE8 = "glue8"
#: Means over tasks, and the metric of everything that has a name here.
MEANS = {GLUE8: tuple(GLUE_METRICS), "glue9": (*GLUE_METRICS, "wnli")}
METRICS = GLUE_METRICS | {"wnli": "accuracy"} | dict.fromkeys(MEANS, "mean")
SCRATCH = "scratch"
DEFAULT_PROTOCOL = "electra-owt-100k"
#: Origins of a trained model's score, in the order in which they are asked: one's own come first.
ORIGINS = ("measured", "published")
#: Origin of a score that no model was trained for.
PREDICTED = "predicted"
#: Space whose cards have predictions.
SURROGATE_SPACE = "g3"

#: The paper's Figure 7, GPU-hours: fine-tuning alone, and pre-training with fine-tuning. Their ratio stands in
#: where a training's fine-tuning time is not known.
FINETUNE_HOURS, TRAINING_HOURS = 0.9875, 39.4646
COST_ASSUMPTION = (
    "of which the fine-tuning seconds are assumed by the paper's ratio "
    f"(Figure 7: {FINETUNE_HOURS} of {TRAINING_HOURS} GPU-hours)"
)


def tasks_of(name: str) -> tuple[str, ...]:
    """The tasks that a mean is over; a task is a mean over itself."""
    return MEANS.get(name, (name,))


#: Shipped files of the three tables of trainings.
ARCHITECTURES_FILE, RUNS_FILE, RESULTS_FILE = "architectures.parquet", "runs_trained.parquet", "results.parquet"
ARCHITECTURES = table_schema(hash="text", card="text", g1_index="int?", layers="int", parameters="int", flops="int")
TRAINING_COLUMNS = {
    "run_id": "text",
    "hash": "text",
    "protocol": "text",
    "init": "text",
    "replicate": "int",
    "seed": "int?",
    "pretrain_steps": "int?",
    "pretrain_seconds": "real?",
    "finetune_seconds": "real?",
    "hardware": "text",
    "origin": "text",
    "source": "text",
    "protocol_hash": "text?",
    "packages": "text?",
    "note": "text?",
}
_SCORE_COLUMNS = {"task": "text", "metric": "text", "value": "real"}
RUNS_TRAINED = table_schema(**TRAINING_COLUMNS)
RESULTS = table_schema(run_id="text", hash="text", protocol="text", init="text", replicate="int", **_SCORE_COLUMNS)
#: Both in one row, with the card: how a store keeps them, so that an append is one file.
SCORES = table_schema(card="text", **TRAINING_COLUMNS, **_SCORE_COLUMNS)
POOL = table_schema(hash="text", card="text")
#: Predicted scores, a row a card, task and protocol (see `surrogate.table`); all of G1 are shipped in this file.
PREDICTIONS = table_schema(
    hash="text",
    task="text",
    protocol="text",
    mean="real",
    epistemic_std="real",
    aleatoric_std="real",
    in_support="flag",
)
PREDICTED_G1 = "surrogate/g1.parquet"
#: Hyperparameters of surrogates, in the shipped data and in a store (see `surrogate.fitted`).
FITTED_FILE = "surrogate/models.toml"


def training_cost_seconds(pretrain_seconds: float | None, finetune_seconds: float | None, init: str = SCRATCH) -> float:
    """Seconds that one evaluation cost: pre-training plus fine-tuning, or fine-tuning alone after a transfer.

    A fine-tuning time that was not published is assumed to be in the proportion of the paper's Figure 7 to the
    pre-training time, also where a transfer saved that. NaN where nothing is known.

    Args:
        pretrain_seconds: of the training, or, after a transfer, those that it saved.
        finetune_seconds: of all tasks together.
        init: `"scratch"`, or a donor's hash.
    """
    if finetune_seconds is None and pretrain_seconds is not None:
        finetune_seconds = pretrain_seconds * FINETUNE_HOURS / (TRAINING_HOURS - FINETUNE_HOURS)
    spent = [finetune_seconds] if init != SCRATCH else [pretrain_seconds, finetune_seconds]
    return math.nan if None in spent else math.fsum(seconds for seconds in spent if seconds is not None)


def transfer_cost_seconds(cost_seconds: float) -> float:
    """What a training costs when weights are transferred: the fine-tuning, a part of it by the paper's ratio."""
    return cost_seconds * FINETUNE_HOURS / TRAINING_HOURS
