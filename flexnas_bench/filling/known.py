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
from flexnas_bench.measured import SOURCE as SHIPPED
from flexnas_bench.results import MEANS, SCRATCH
from flexnas_bench.training.donors import find_donors
from flexnas_bench.training.workplace import SETTINGS


class Known:
    """Scores of one protocol, shipped or in a store; those of a shipped training and of one's own are never mixed.

    Args:
        bench: that has them.
        protocol: name.
    """

    def __init__(self, bench: Benchmark, protocol: str) -> None:
        self._bench = bench
        self._own, self._shipped = _scores(), _scores()
        if protocol in bench.protocols:
            frame = bench.to_frame(protocol=protocol)
            names = ("card_hash", "replicate", "init", "task", "value", "source")
            for card, replicate, init, task, value, source in zip(*(frame[name] for name in names), strict=True):
                if task not in MEANS:
                    of = self._shipped if source == SHIPPED else self._own
                    of[card, replicate][init][task] = value

    def scores(self, card: ModelCard, replicate: int) -> Mapping[str, Mapping[str, float]]:
        """Scores by task of one's own trainings of a card, of each init: those that can go on."""
        return self._own.get((card.hash, replicate), {})

    def trainings(self, card: ModelCard, replicate: int) -> list[tuple[str, Mapping[str, float]]]:
        """Init and scores by task of all trainings of a card, one's own first, from scratch before others."""
        key = (card.hash, replicate)
        of = [(init, scores) for table in (self._own, self._shipped) for init, scores in table.get(key, {}).items()]
        return sorted(of, key=lambda one: one[0] != SCRATCH)

    def cards(self, replicate: int) -> list[ModelCard]:
        """Cards with a score."""
        keys = dict.fromkeys([*self._own, *self._shipped])
        return [self._bench.card(card) for card, number in keys if number == replicate]


def _scores() -> dict[tuple[str, int], dict[str, dict[str, float]]]:
    """By card and replicate, init, and task."""
    return defaultdict(lambda: defaultdict(dict))


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

    def has_weights(self, card: ModelCard, replicate: int) -> bool:
        """Whether a card is such a donor."""
        return bool(find_donors([self._folder / folder_name(card, replicate)], self._recipe))

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
