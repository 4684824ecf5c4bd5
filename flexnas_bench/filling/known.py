"""What a table has already: scores, and trainings that were begun."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidCardError, OptionError
from flexnas_bench.filling.job import Job, folder_name
from flexnas_bench.results import MEANS, SCRATCH
from flexnas_bench.training.workplace import SETTINGS


class Known:
    """Scores of one protocol, shipped or in a store.

    Args:
        bench: that has them.
        protocol: name.
    """

    def __init__(self, bench: Benchmark, protocol: str) -> None:
        self._scores: dict[tuple[str, int], list[tuple[str, str, float]]] = defaultdict(list)
        if protocol in bench.protocols:
            frame = bench.to_frame(protocol=protocol)
            columns = zip(*(frame[name] for name in ("card_hash", "replicate", "init", "task", "value")), strict=True)
            for card, replicate, init, task, value in columns:
                if task not in MEANS:
                    self._scores[card, replicate].append((init, task, value))

    def tasks(self, card: ModelCard, replicate: int, scratch: bool) -> dict[str, float]:
        """Scores by task of a training, of one from scratch only or of any."""
        found = self._scores.get((card.hash, replicate), ())
        return {task: value for init, task, value in found if init == SCRATCH or not scratch}

    def cards(self, replicate: int) -> list[str]:
        """Hashes of cards with a score."""
        return [card for card, number in self._scores if number == replicate]


def begun(folder: Path, tasks: Sequence[str], replicate: int, known: Known) -> Iterator[Job]:
    """Trainings from scratch in the folders of a folder that lack scores."""
    for path in sorted(folder.glob(f"*/{SETTINGS}")):
        try:
            card = ModelCard.from_dict(json.loads(path.read_bytes())["card"])
        except (OSError, ValueError, KeyError, TypeError, InvalidCardError):
            continue  # a training that says no more what it is cannot go on
        there = known.tasks(card, replicate, scratch=True)
        missing = tuple(task for task in tasks if task not in there)
        if missing and path.parent.name == folder_name(card, replicate):
            yield Job(card, missing, replicate)


def read_card_list(path: Path, bench: Benchmark) -> list[ModelCard]:
    """Cards of a file, one a line: a name, a hash, or JSON; a line that begins with # is none.

    Raises:
        OptionError: the file cannot be read, has no card, or a line is none; the text names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    cards = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if line and not line.startswith("#"):
            try:
                cards.append(bench.card(line))
            except (LookupError, InvalidCardError) as error:
                raise OptionError(f"{path}, line {number}: {error}") from None
    if not cards:
        raise OptionError(f"{path}: no card in it")
    return cards
