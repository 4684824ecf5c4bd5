"""`train`: a card becomes scores that were measured here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from flexnas_bench.cli.lookup import CardArgument, OverlapOption
from flexnas_bench.cli.output import Json, print_json, progress_bars, say, say_error, to_json
from flexnas_bench.distance.overlap import THRESHOLD
from flexnas_bench.errors import OptionError
from flexnas_bench.loading import load_benchmark
from flexnas_bench.results import MEANS, METRICS, SCRATCH, tasks_of
from flexnas_bench.storage import write_bytes

if TYPE_CHECKING:
    from flexnas_bench.records import Training

SCORES, CURVES = "scores.json", "curves.png"
ProtocolOption = Annotated[
    str, typer.Option("--protocol", help="Training recipe: cpu-lite, gpu-lite, paper, or a .toml file with one.")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder with glue/, corpus/ and roberta_tokenizer/; else GLUE from the hub."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, ...; auto is a GPU if there is one.")]


def train(
    card: CardArgument,
    out: Annotated[Path, typer.Option(help="Folder of the training; an interrupted one goes on where it stopped.")],
    protocol: ProtocolOption = "cpu-lite",
    tasks: Annotated[str, typer.Option(help="Tasks of GLUE, such as rte,mrpc; or glue8, glue9.")] = "glue8",
    data: DataOption = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder of results that the scores go to; OUT/store if not given.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="Of all that is random; number of the replicate.")
    ] = 0,
    donors: Annotated[
        Path | None,
        typer.Option(help="Folder of earlier trainings: the nearest gives its weights in place of pre-training."),
    ] = None,
    overlap: OverlapOption = THRESHOLD,
    device: DeviceOption = "auto",
    classifiers: Annotated[
        bool, typer.Option("--classifiers", help="Keep the fine-tuned models too, in OUT/classifiers.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Pre-train a card, fine-tune it on tasks of GLUE, and write its scores down as rows of a table."""
    from flexnas_bench.figures.training import draw_training
    from flexnas_bench.modeling.folder import quiet_libraries
    from flexnas_bench.store import Store
    from flexnas_bench.training.backend import Backend
    from flexnas_bench.training.protocol import load_protocol
    from flexnas_bench.training.provenance import pick_device
    from flexnas_bench.training.workplace import read_curves

    quiet_libraries()
    if donors is not None and not donors.is_dir():
        raise OptionError(f"--donors: {donors}: no such folder")
    into = Store(store or out / "store")
    known = store if store is not None and into.exists() else None
    found = load_benchmark(store=known).card(card)
    backend = Backend(load_protocol(protocol), data, into, pick_device(device), overlap, classifiers)
    names = read_tasks(tasks)
    with progress_bars() as progress:
        try:
            rows = backend.train(found, names, out, seed, [donors] if donors else [], progress)
        except (KeyboardInterrupt, SystemExit):
            if out.exists():
                say_error(f"What was finished is kept in {out}; the same command goes on from there.")
            raise
    facts = _facts(rows, out, into.folder)
    write_bytes(out / SCORES, to_json(facts).encode())
    draw_training(
        read_curves(out), out / CURVES, f"card {found.hash[:12]}..., protocol {backend.protocol.name}, seed {seed}"
    )
    print_json(facts) if as_json else _show(facts)


def read_tasks(text: str) -> list[str]:
    """Names of tasks, in order and each once, from a list with commas; means stand for their tasks."""
    from flexnas_bench.training.glue import task_of

    names = [name.strip() for name in text.split(",")]
    tasks = [task for name in names for task in tasks_of(name)]
    return [task_of(task).name for task in dict.fromkeys(tasks)]


def _facts(rows: list[Training], out: Path, store: Path) -> dict[str, Any]:
    """What the table shows, for programs."""
    first = rows[0]
    shared = ("protocol", "protocol_hash", "init", "seed", "origin", "pretrain_steps", "pretrain_seconds")
    return {
        "out": str(out),
        "store": str(store),
        "card": first.card.to_dict(),
        "hash": first.card.hash,
        **{name: getattr(first, name) for name in shared},
        "tasks": [_task(row) for row in rows],
    }


def _task(row: Training) -> dict[str, Any]:
    ((task, value),) = row.scores.items()
    own = ("run_id", "finetune_seconds", "hardware", "packages", "note")
    return {"task": task, "metric": METRICS[task], "value": value, **{name: getattr(row, name) for name in own}}


def _show(facts: dict[str, Any]) -> None:
    table = Table("task", "metric", "score", "seconds", "", title=f"measured, protocol {facts['protocol']}")
    for one in facts["tasks"]:
        score = "diverged" if math.isnan(one["value"]) else f"{one['value']:.2f}"
        table.add_row(one["task"], one["metric"], score, f"{one['finetune_seconds']:.0f}", one["note"] or "")
    values = {one["task"]: one["value"] for one in facts["tasks"]}
    for mean, parts in MEANS.items():
        if values.keys() >= set(parts):
            table.add_row(mean, "mean", f"{sum(values[part] for part in parts) / len(parts):.2f}", "", "")
    say(table)
    saved = "pre-trained" if facts["init"] == SCRATCH else f"weights of {facts['init'][:12]}... saved pre-training"
    say(f"card {facts['hash']}, seed {facts['seed']}; {saved} {facts['pretrain_seconds']:,.0f} s")
    say(f"model and curves in {facts['out']}, scores in {facts['store']}")
