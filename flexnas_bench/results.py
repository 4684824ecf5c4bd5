"""The tables of results: their schemas and what their words mean (one row a training, one row a score)."""

from __future__ import annotations

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
SCRATCH = "scratch"
DEFAULT_PROTOCOL = "electra-owt-100k"

#: The paper's Figure 7, GPU-hours: fine-tuning alone, and pre-training with fine-tuning. Their ratio stands in
#: where a training's fine-tuning time is not known.
FINETUNE_HOURS, TRAINING_HOURS = 0.9875, 39.4646


ARCHITECTURES = table_schema(hash="text", card="text", g1_index="int?", layers="int", parameters="int", flops="int")
RUNS_TRAINED = table_schema(
    run_id="text",
    hash="text",
    protocol="text",
    init="text",
    replicate="int",
    seed="int?",
    pretrain_steps="int",
    pretrain_seconds="real?",
    finetune_seconds="real?",
    hardware="text",
    origin="text",
    source="text",
)
RESULTS = table_schema(
    run_id="text",
    hash="text",
    protocol="text",
    init="text",
    replicate="int",
    task="text",
    metric="text",
    value="real",
)
POOL = table_schema(hash="text", card="text")


def training_cost_seconds(pretrain_seconds: float, finetune_seconds: float | None) -> float:
    """Seconds that one evaluation cost: pre-training plus fine-tuning.

    A fine-tuning time that was not published is assumed to be in the proportion of the paper's Figure 7.
    """
    if finetune_seconds is None:
        finetune_seconds = pretrain_seconds * FINETUNE_HOURS / (TRAINING_HOURS - FINETUNE_HOURS)
    return pretrain_seconds + finetune_seconds
