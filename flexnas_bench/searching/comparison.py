"""Methods side by side: what runs of several say about which finds more, and how sure that is."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexnas_bench.errors import OptionError, RunMismatchError, TableCorruptError
from flexnas_bench.results import ORIGINS, PREDICTED
from flexnas_bench.searching.analysis import (
    best_by_time,
    best_so_far,
    estimates,
    evaluations_to,
    expected_so_far,
    paired_difference,
    paired_test,
    ranks,
)
from flexnas_bench.searching.journal import journals
from flexnas_bench.searching.recommendation import recommended_so_far
from flexnas_bench.searching.runs import CARDS_FILE, RUNS_FILE, read_cards, read_runs
from flexnas_bench.searching.settings import SETTINGS_FILE

_PROBLEM = ("space", "space_digest", "task", "protocol", "kind", "noisy", "scores_digest")
_POINTS = 200


@dataclass(frozen=True)
class Comparison:
    """Runs of several methods on one problem.

    Attributes:
        frames: runs of each method by its name, as `Run.frame`.
        cards: their cards, as `read_cards`; `None` where they are not at hand.
        problem: space, task, protocol and so on, as far as it is known.
    """

    frames: Mapping[str, pd.DataFrame]
    cards: pd.DataFrame | None
    problem: Mapping[str, Any]

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Comparison:
        """Runs of folders that `search` or `run` left, or of tables of runs, each with any number of methods.

        A method is named after its optimizer, or after its folder if several are of one optimizer.

        Raises:
            OptionError: there are no runs at a path, its search is not finished, or a method is there twice.
            RunMismatchError: the runs are of different spaces, tasks, protocols or scores.
            TableCorruptError: a table is damaged, none of runs, or lacks cards of its runs.
        """
        found = [(path, *_read(path)) for path in paths]
        counts = Counter(name for _, frame, _, _ in found for name in frame["optimizer"].unique())
        frames: dict[str, pd.DataFrame] = {}
        for path, frame, _, _ in found:
            for name, runs in frame.groupby("optimizer"):
                label = str(name) if counts[name] == 1 else _label(path, str(name))
                if label in frames:
                    raise OptionError(f"two of these are named {label}; give each folder a name of its own")
                frames[label] = runs.sort_values(["seed", "step"])
        problems = [{name: settings[name] for name in _PROBLEM if name in settings} for *_, settings in found]
        bare = [path for path, problem in zip(paths, problems, strict=True) if not problem]
        if bare and len(bare) < len(problems):
            raise RunMismatchError(f"nothing beside {bare[0]} says what its runs are of, as {SETTINGS_FILE} would")
        if len({origin == PREDICTED for frame in frames.values() for origin in frame["origin"]}) > 1:
            raise RunMismatchError("these are not runs of one problem: some scores are predicted, others are not")
        _check_problems(paths, problems)
        cards = [cards for _, _, cards, _ in found]
        problem = problems[0]
        whole = None if any(one is None for one in cards) else pd.concat(cards).drop_duplicates("card_hash")
        if problem.get("noisy") and (whole is None or whole["expected"].isna().any()):
            raise TableCorruptError(f"runs with noise are judged by expected values, which {CARDS_FILE} lacks")
        return cls(frames, whole, problem)

    @cached_property
    def best(self) -> dict[str, pd.DataFrame]:
        """Best value so far of each method (see `best_so_far`)."""
        return {name: best_so_far(frame) for name, frame in self.frames.items()}

    @cached_property
    def expected(self) -> dict[str, pd.DataFrame]:
        """Expected value of the card of the best reading (see `expected_so_far`); empty where it is not known."""
        if self.cards is None or self.cards["expected"].isna().any():
            return {}
        return {name: expected_so_far(frame, self.cards) for name, frame in self.frames.items()}

    @cached_property
    def recommended(self) -> dict[str, pd.DataFrame]:
        """Expected value of the card recommended (see `recommended_so_far`); empty unless values are noisy."""
        if not self.problem.get("noisy"):
            return {}
        return {name: recommended_so_far(frame, self.cards) for name, frame in self.frames.items()}

    @property
    def judged(self) -> dict[str, pd.DataFrame]:
        """What methods are judged by: the best value, or, where values are noisy, that of the card recommended."""
        return self.recommended or self.best

    @cached_property
    def judged_at_end(self) -> dict[str, pd.DataFrame]:
        """The same, with NaN before the last evaluation where values are noisy: what comes before takes long."""
        if not self.problem.get("noisy"):
            return self.best
        return {name: recommended_so_far(frame, self.cards, at_end=True) for name, frame in self.frames.items()}

    @property
    def by_hours(self) -> dict[str, pd.DataFrame]:
        """Best value by simulated hours since the start, whatever the number of workers; see `by_gpu_hours`."""
        return self._by_time({name: frame["finished_at"] / 3600 for name, frame in self.frames.items()})

    @property
    def by_gpu_hours(self) -> dict[str, pd.DataFrame]:
        """Best value by simulated hours that all finished trainings took together.

        From when all runs have a value until the first of them ends; empty where times are not known.
        """
        costs = {name: frame.groupby("seed")["cost_seconds"] for name, frame in self.frames.items()}
        return self._by_time({name: cost.cumsum() / 3600 for name, cost in costs.items()})

    def _by_time(self, clocks: Mapping[str, pd.Series]) -> dict[str, pd.DataFrame]:
        spans = [clock.groupby(self.frames[name]["seed"]).agg(["min", "max"]) for name, clock in clocks.items()]
        first, last = max(span["min"].max() for span in spans), min(span["max"].min() for span in spans)
        if not last > first:  # times are not known, or have nothing in common
            return {}
        hours = np.linspace(first, last, _POINTS)
        return {name: best_by_time(frame, hours, clocks[name]) for name, frame in self.frames.items()}

    @cached_property
    def ranks(self) -> dict[str, pd.DataFrame]:
        """Rank of each method at each step, seed by seed (see `ranks`), by what they are judged by."""
        return ranks(self.judged)

    @property
    def target(self) -> float:
        """A value that half of all runs reach: the median of what they are judged by at their ends."""
        return float(np.median(np.concatenate([table.iloc[:, -1] for table in self.judged.values()])))

    def summary(self, steps: Sequence[int], target: float, optimum: float = math.nan) -> dict[str, Any]:
        """Everything as numbers.

        Args:
            steps: evaluations after which methods are compared; those that all of them have.
            target: a value to be reached.
            optimum: best value there is, NaN if nobody knows.
        """
        steps = [step for step in steps if all(step in table for table in self.best.values())]
        return {
            "problem": dict(self.problem),
            "target": target,
            "optimum": optimum,
            "methods": {name: self._method(name, steps, target, optimum) for name in self.frames},
            "pairs": [pair for one, other in combinations(self.frames, 2) for pair in self._pairs(one, other, steps)],
        }

    def _method(self, name: str, steps: Sequence[int], target: float, optimum: float) -> dict[str, Any]:
        judged = self.judged[name]
        reached = evaluations_to(judged, target)
        return {
            "seeds": len(self.best[name]),
            "best": estimates(self.best[name], steps),
            "regret": estimates(optimum - judged, steps) if not math.isnan(optimum) else [],
            "expected": estimates(self.expected[name], steps) if self.expected else [],
            "recommended": estimates(self.recommended[name], steps) if self.recommended else [],
            "rank": estimates(self.ranks[name], steps) if len(self.ranks[name]) else [],
            "evaluations_to_target_median": float(np.median(reached)),
            "seeds_that_reached_target": int(np.isfinite(reached).sum()),
            "ask_seconds_median": float(self.frames[name]["ask_seconds"].median()),
        }

    def _pairs(self, one: str, other: str, steps: Sequence[int]) -> list[dict[str, Any]]:
        difference = paired_difference(self.judged[one], self.judged[other])
        if difference.empty:
            return []
        return [
            {"first": one, "second": other, "p": paired_test(difference[row["step"]].to_numpy())} | row
            for row in estimates(difference, steps)
        ]


def _read(path: Path) -> tuple[pd.DataFrame, pd.DataFrame | None, dict[str, Any]]:
    """Runs, cards and settings of a folder or of a table."""
    folder = path.is_dir()
    names = (RUNS_FILE, CARDS_FILE, SETTINGS_FILE)
    runs, cards, settings = (
        (path / name for name in names)
        if folder
        else (path, *(path.with_name(f"{path.stem}_{name}") for name in names[1:]))
    )
    if folder and not runs.exists() and (settings.exists() or journals(path)):
        raise OptionError(f"{path}: its search is not finished; the same `run` command completes it")
    frame = read_runs(runs) if runs.exists() else None
    if frame is None or frame.empty:
        raise OptionError(f"{path}: there are no runs; name folders that `run` left, or tables of runs")
    if fault := _fault(frame):
        raise TableCorruptError(f"{runs}: {fault}")
    table = read_cards(cards) if cards.exists() else None
    if table is not None and not frame["card_hash"].isin(table["card_hash"]).all():
        raise TableCorruptError(f"{cards} lacks cards of {runs}; run the search again, which completes it")
    return frame, table, _settings(settings) if folder or settings.exists() else {}


def _check_problems(paths: Sequence[Path], problems: Sequence[Mapping[str, Any]]) -> None:
    """Raises `RunMismatchError` where runs are not of the same problem as the first, naming the two."""
    for name in _PROBLEM:
        for path, problem in zip(paths, problems, strict=True):
            one, other = (
                value if isinstance(value, str) else json.dumps(value)
                for value in (problems[0].get(name), problem.get(name))
            )
            if one != other:
                raise RunMismatchError(
                    f"{paths[0]} and {path} are not runs of one problem: "
                    f"{name} is {one} in the first, {other} in the second"
                )


def _fault(frame: pd.DataFrame) -> str:
    """What makes no sense of runs, nothing if all does."""
    frame = frame.sort_values(["optimizer", "seed", "step"])
    run = frame.groupby(["optimizer", "seed"])
    if frame.duplicated(["optimizer", "seed", "step"]).any():
        return "a step of a seed is there twice"
    if (frame["step"] != run.cumcount() + 1).any():
        return "the steps of a seed are not 1, 2, 3 and so on"
    if np.isinf(frame["value"]).any():
        return "a value is infinite"
    if not set(frame["origin"]) <= {PREDICTED, *ORIGINS}:
        return "an origin that there is not"
    best = run["value"].cummax().groupby([frame["optimizer"], frame["seed"]]).ffill()
    if not np.array_equal(frame["best"], best, equal_nan=True):
        return "the best values so far do not follow from the values"
    return ""


def _settings(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunMismatchError(f"{path} is not readable as settings of a search") from error
    if not isinstance(known, dict) or not known.keys() >= set(_PROBLEM):
        raise RunMismatchError(f"{path} is not readable as settings of a search")
    return known


def _label(path: Path, optimizer: str) -> str:
    """The name of a method that several have: its folder, or its table and itself."""
    return path.resolve().name if path.is_dir() else f"{path.stem}: {optimizer}"
