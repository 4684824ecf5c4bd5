"""What a table has already: scores of cards, and trainings in a folder, begun or with weights to give."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.errors import InvalidCardError, OptionError
from flexnas_bench.filling.job import folder_name
from flexnas_bench.results import MEANS
from flexnas_bench.training.donors import find_donors
from flexnas_bench.training.workplace import SETTINGS


class Known:
    """Scores of one protocol, shipped or in a store.

    Args:
        bench: that has them.
        protocol: name.
    """

    def __init__(self, bench: Benchmark, protocol: str) -> None:
        self._bench = bench
        self._scores: dict[tuple[str, int], dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        if protocol in bench.protocols:
            frame = bench.to_frame(protocol=protocol)
            columns = zip(*(frame[name] for name in ("card_hash", "replicate", "init", "task", "value")), strict=True)
            for card, replicate, init, task, value in columns:
                if task not in MEANS:
                    self._scores[card, replicate][init][task] = value

    def scores(self, card: ModelCard, replicate: int) -> Mapping[str, Mapping[str, float]]:
        """Scores of trainings of a card: of each init, by task."""
        return self._scores.get((card.hash, replicate), {})

    def cards(self, replicate: int) -> list[ModelCard]:
        """Cards with a score."""
        return [self._bench.card(card) for card, number in self._scores if number == replicate]


class Trainings:
    """A folder of trainings, by their names, as it is when asked; those of others too.

    Args:
        folder: of a protocol.
        recipe: digest of its settings of pre-training.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self._folder, self._recipe = folder, recipe

    def donors(self, replicate: int) -> list[ModelCard]:
        """Cards that were pre-trained from scratch and have weights to give."""
        return [one.card for one in find_donors(self._folder.glob(f"*-{replicate}"), self._recipe)]

    def begun(self, replicate: int) -> dict[ModelCard, ModelCard]:
        """Cards whose training from a donor's weights was begun, and the donor, which still has them."""
        found = {}
        for donor in self.donors(replicate):
            for path in sorted(self._folder.glob(f"*-{replicate}-from-{donor.hash[:16]}/{SETTINGS}")):
                try:
                    card = ModelCard.from_dict(json.loads(path.read_bytes())["card"])
                except (OSError, ValueError, KeyError, TypeError, InvalidCardError):
                    continue  # a training that says no more what it is cannot go on
                if path.parent.name == folder_name(card, replicate, donor):
                    found[card] = donor
        return found


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
