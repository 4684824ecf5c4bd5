"""Published trainings of cards of the space, as `Training`s."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from statistics import fmean

from flexnas_bench.card import ModelCard
from flexnas_bench.protocols import checkpoint_protocol
from flexnas_bench.records import Training
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, GLUE_METRICS
from flexnas_bench.rows import Row, read_rows

GLUE_500 = "nas_bench_bert_2023/glue_500.csv"
CURVES = "nas_bench_bert_2023/learning_curves_15.csv"
EARLY = "flexibert_2023/measured_2021_top10_glue.csv"

NAS_BENCH_BERT = "nas-bench-bert-2023"
FLEXIBERT = "flexibert-2023"
CURVE = "electra-owt-1m"
EARLY_PROTOCOL = "flexibert-2021-early"
EARLY_TASK = "glue"
PRETRAIN_STEPS = 100_000


def read_glue_500(path: Path) -> list[Training]:
    """The 500 trainings of the benchmark; a card that stands there again is its next replicate."""
    seen: Counter[str] = Counter()

    def parse(row: Row) -> Training:
        training = _glue_500_row(row, seen)
        seen[training.card.hash] += 1
        return training

    return read_rows(path, parse)


def read_curves(path: Path) -> list[Training]:
    """Learning curves: every checkpoint, fine-tuned, is a training under the protocol of its step count."""
    return read_rows(path, _curve_row)


def read_early(path: Path) -> list[Training]:
    """Ten cards of the first level with the score of an early run, on a scale of its own."""
    return read_rows(path, _early_row)


def _glue_500_row(row: Row, seen: Counter[str]) -> Training:
    card = ModelCard.from_json(row["model_card"])
    if not 0 < float(row["pretrain_seconds"]) < math.inf:
        raise ValueError(f"pretrain_seconds is {row['pretrain_seconds']}")
    if int(row["pretrain_steps"]) != PRETRAIN_STEPS:
        raise ValueError(f"pretrain_steps is {row['pretrain_steps']}, not the {PRETRAIN_STEPS} of {DEFAULT_PROTOCOL}")
    return Training(
        run_id=f"{NAS_BENCH_BERT}/{int(row['id']):03d}",
        card=card,
        protocol=DEFAULT_PROTOCOL,
        scores=_glue8_scores(row),
        replicate=seen[card.hash],
        pretrain_steps=PRETRAIN_STEPS,
        pretrain_seconds=float(row["pretrain_seconds"]),
        hardware="8 TPU cores",
        origin="published",
        source=NAS_BENCH_BERT,
    )


def _curve_row(row: Row) -> Training:
    steps = int(row["pretrain_steps"])
    if steps < 0 or steps % 1000:
        raise ValueError(f"pretrain_steps is {steps}, no multiple of 1000")
    return Training(
        run_id=f"{NAS_BENCH_BERT}/curve-{int(row['curve_id']):02d}/{steps}",
        card=ModelCard.from_json(row["model_card"]),
        protocol=checkpoint_protocol(CURVE, steps),
        scores=_glue8_scores(row),
        pretrain_steps=steps,
        origin="published",
        source=NAS_BENCH_BERT,
    )


def _early_row(row: Row) -> Training:
    score = float(row["glue_score"])
    if not 0 <= score <= 1:
        raise ValueError(f"glue_score is {score}, not on a scale of 0 to 1")
    return Training(
        run_id=f"{FLEXIBERT}/early-{row['authors_hash'][:12]}",
        card=ModelCard.from_dict({field: json.loads(row[field]) for field in "lohnfp"}),
        protocol=EARLY_PROTOCOL,
        scores={EARLY_TASK: 100 * score},
        metrics={EARLY_TASK: "GLUE score as published"},
        origin="published",
        source=FLEXIBERT,
    )


def _glue8_scores(row: Row) -> dict[str, float]:
    """Scores of the eight tasks and their mean, which must be the one that the row gives."""
    scores = {task: float(row[task]) for task in GLUE_METRICS}
    mean = fmean(scores.values())
    if not abs(mean - float(row[GLUE8])) <= 1e-3:  # NaN is no score either
        raise ValueError(f"glue8 is {row[GLUE8]}, the mean of its tasks {mean:.5f}")
    return scores | {GLUE8: mean}
