"""Figure 7: what a training takes with and without a neighbour's weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.stats import t as student

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.errors import NotMeasuredError
from flexnas_bench.figures.paper.plate import FAINT, PUBLISHED, Plate, beside, new_figure, plain
from flexnas_bench.figures.paper.tables import MEASURED_PROTOCOL
from flexnas_bench.figures.styles import COLOURS
from flexnas_bench.published.figures import load_published
from flexnas_bench.records import Training
from flexnas_bench.results import SCRATCH
from flexnas_bench.searching.analysis import CONFIDENCE
from flexnas_bench.shipped import read_trainings
from flexnas_bench.storage import data_folder

_KEY = ["card_hash", "init", "replicate", "tasks"]
BARS = ("Pre-train + Fine-tune", "Direct Fine-tune", "Knowledge Transfer")


def transfers_figure(bench: Benchmark) -> Plate:
    """Bars over cards that were trained both ways, a dot a card; raises `NotMeasuredError` where there are none."""
    minutes = _minutes([one for one in read_trainings(data_folder()) if one.protocol == MEASURED_PROTOCOL])
    figure = new_figure(7.2, 4.8)
    axes = figure.add_subplot()
    mean, reach = minutes.mean().to_numpy(), _reach(minutes)
    places = np.arange(len(BARS))
    axes.bar(places - 0.2, mean, 0.36, color=COLOURS[5], yerr=reach, capsize=3, label="measured")
    for row in minutes.to_numpy():
        axes.plot(places - 0.2, row, color="0.25", marker="o", markersize=3, linewidth=0.5, alpha=0.6)
    table = load_published("fig7").set_index("panel").loc[list(BARS)]
    _overlay(axes, table, places)
    axes.set_xticks(places, ["pre-train\n+ fine-tune", "fine-tune\nalone", "weights of\na neighbour"])
    axes.set(title="Time of a training", ylabel=f"minutes, protocol {MEASURED_PROTOCOL} (measured)")
    plain(axes)
    own = minutes.reset_index().melt(_KEY, var_name="bar", value_name="value")
    theirs = table.reset_index().rename(
        columns={"panel": "bar", "gpu_hours": "value", "ci_low": "low", "ci_high": "high"}
    )
    means = pd.DataFrame({"bar": BARS, "value": mean, "low": mean - reach, "high": mean + reach})
    rows = [own.assign(series="training, minutes"), means.assign(series="mean, minutes")]
    rows.append(theirs.assign(series=f"{PUBLISHED}, GPU-hours"))
    columns = ["series", "bar", *_KEY, "value", "low", "high"]
    caption = (
        f"Minutes of the same tasks of {len(minutes)} cards that were trained both ways under {MEASURED_PROTOCOL} "
        "(dots: cards; bars: means with 90 % intervals of Student's t), origin measured "
        f"({bench.citations('flexnas-bench')}). Open bars, {PUBLISHED}: Figure 7 of the paper, "
        "GPU-hours on a scale of their own, whose third bar is a mean over all cards of a search, of which some found "
        "no neighbour."
    )
    return Plate(figure, pd.concat(rows, ignore_index=True)[columns], caption)


def _reach(minutes: pd.DataFrame) -> NDArray[np.float64]:
    """Half a 90 % interval of each mean by Student's t; for a handful of trainings resampling is too sure."""
    n = len(minutes)
    if n < 2:
        return np.full(len(BARS), np.nan)
    reach: NDArray[np.float64] = student.ppf((1 + CONFIDENCE) / 2, n - 1) * minutes.std(ddof=1).to_numpy() / np.sqrt(n)
    return reach


def _minutes(trainings: list[Training]) -> pd.DataFrame:
    """A row a training from a donor's weights, the three bars; of tasks that the card has from scratch too."""
    found = defaultdict[tuple[str, str, int], dict[str, Training]](dict)
    for one in trainings:
        (task,) = one.scores
        found[one.card.hash, one.init, one.replicate][task] = one
    rows = {}
    for (card, init, replicate), own in found.items():
        scratch = found.get((card, SCRATCH, replicate), {})
        tasks = sorted(
            task for task in own.keys() & scratch.keys() if _is_timed(own[task]) and _is_timed(scratch[task])
        )
        if init != SCRATCH and tasks:
            tuned = _seconds(scratch, tasks)
            whole = float(scratch[tasks[0]].pretrain_seconds or 0.0) + tuned
            rows[card, init, replicate, ", ".join(tasks)] = [whole, tuned, _seconds(own, tasks)]
    if not rows:
        raise NotMeasuredError(
            f"no card was trained both ways under {MEASURED_PROTOCOL}; `fill` with and without --scratch would"
        )
    index = pd.MultiIndex.from_tuples(rows, names=_KEY)
    return pd.DataFrame(np.array(list(rows.values())) / 60, index, BARS)


def _is_timed(one: Training) -> bool:
    return one.finetune_seconds is not None and one.pretrain_seconds is not None


def _seconds(trainings: Mapping[str, Training], tasks: Sequence[str]) -> float:
    return sum(trainings[task].finetune_seconds or 0.0 for task in tasks)


def _overlay(axes: Axes, table: pd.DataFrame, places: np.ndarray) -> None:
    other = beside(axes, "GPU-hours")
    errors = [table["gpu_hours"] - table["ci_low"], table["ci_high"] - table["gpu_hours"]]
    other.bar(
        places + 0.2,
        table["gpu_hours"],
        0.36,
        fc="none",
        ec="0.4",
        alpha=FAINT * 2,
        yerr=errors,
        ecolor="0.6",
        capsize=3,
    )
