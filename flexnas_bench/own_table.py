"""A table of one's own: a CSV or Parquet file of cards and scores becomes trainings in a store."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexnas_bench.card import ModelCard
from flexnas_bench.errors import OptionError, shown
from flexnas_bench.records import Training
from flexnas_bench.results import METRICS, ORIGINS, SCRATCH
from flexnas_bench.rows import read_table
from flexnas_bench.space import DesignSpace, load_space
from flexnas_bench.storage import write_bytes
from flexnas_bench.store import Store

CARD = "model_card"
#: Columns that say something of a training and are no scores: whole numbers, seconds and words.
_WHOLE = ("replicate", "seed", "pretrain_steps")
_SECONDS = ("pretrain_seconds", "finetune_seconds")
_WORDS = ("init", "hardware")
KNOWN = (CARD, "hash", *_WHOLE, *_SECONDS, *_WORDS)
Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Imported:
    """What `import_table` did.

    Attributes:
        trainings: rows of the file.
        fresh: scores that the store did not have yet.
        spaces: by task, the file with the cards of the store that have a score of it: a space for searches.
        cards: by task, how many these are.
    """

    trainings: int
    fresh: int
    spaces: Mapping[str, Path]
    cards: Mapping[str, int]


def import_table(
    file: Path | str,
    space: DesignSpace | Path | str,
    store: Path | str,
    *,
    protocol: str | None = None,
    origin: str = ORIGINS[0],
    source: str = "own",
    tasks: Collection[str] | None = None,
    scale: float = 1.0,
) -> Imported:
    """Appends the trainings of a file to a store, all of them or none.

    A column `model_card` has cards as JSON. Columns `hash` (checked), `replicate`, `seed`, `pretrain_steps`,
    `pretrain_seconds`, `finetune_seconds`, `init` and `hardware` say more of a training; all others are tasks. An empty
    cell is a task that was not run, `nan` one that failed. A card that is there several times was trained
    several times, in the order of the rows, unless `replicate` numbers them. The same file again adds nothing.

    Beside the parts of the store there is then a list of cards for each task, `PROTOCOL-TASK.jsonl`, to search.

    Args:
        file: a `.csv` with a header, or a `.parquet` file.
        space: the design space of all cards, or what `load_space` takes.
        store: folder of a `Store`, made if it is not there.
        protocol: name of the training recipe; the name of the file if not given.
        origin: `"measured"`, or `"published"` for trainings of others.
        source: who says so, a key of `sources.toml` where that describes it.
        tasks: columns that are scores; by default all that are not known otherwise.
        scale: factor that makes points, higher being better, of the scores: 100 for fractions.

    Raises:
        TableCorruptError: the file cannot be read, or a row makes no sense; the text names file and line.
        NotInSpaceError: there is no such space.
        OptionError: an argument that makes no sense, or fractions where points are expected.
        ResultConflictError: the store says something else of a training.
    """
    path, where = Path(file), space if isinstance(space, DesignSpace) else load_space(space)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < abs(scale) < math.inf:
        raise OptionError(f"scale: {shown(scale)} is no factor")
    recipe = path.stem if protocol is None else protocol
    repeats: Counter[tuple[str, str]] = Counter()

    def parse(row: Cells) -> Training:
        card, facts = _card(row, where), _facts(row)
        key = (card.hash, facts.get("init", SCRATCH))
        facts.setdefault("replicate", repeats[key])
        repeats[key] += 1
        scores = _scores(row, tasks, scale)
        return Training(card=card, scores=scores, protocol=recipe, origin=origin, source=source, **facts)

    trainings = read_table(path, parse)
    _check_points(path, trainings)
    own = Store(store)
    fresh = own.append(trainings)
    lists = _lists(own, recipe)
    spaces = {task: own.folder / f"{_word(f'{recipe}-{task}')}.jsonl" for task in lists}
    for task, cards in lists.items():
        write_bytes(spaces[task], "".join(f"{card}\n" for card in cards).encode())
    return Imported(len(trainings), fresh, spaces, {task: len(cards) for task, cards in lists.items()})


def _card(row: Cells, space: DesignSpace) -> ModelCard:
    given = row[CARD]
    card = ModelCard.from_json(given) if isinstance(given, str) else ModelCard.from_dict(given)
    if _given(row, "hash") and row["hash"] != card.hash:
        raise ValueError(f"hash: {shown(row['hash'])} is not that of the card, {card.hash}")
    space.index(card)
    return card


def _facts(row: Cells) -> dict[str, Any]:
    """What the row says of its training, as `Training` takes it."""
    facts: dict[str, Any] = {name: row[name] for name in _WORDS if _given(row, name)}
    for name in (*_WHOLE, *_SECONDS):
        if _given(row, name):
            number = _number(row, name)
            facts[name] = int(number) if name in _WHOLE and number.is_integer() else number
    return facts


def _scores(row: Cells, tasks: Collection[str] | None, scale: float) -> dict[str, float]:
    chosen = [name for name in row if name not in KNOWN] if tasks is None else tasks
    scores = {task: scale * _number(row, task) for task in chosen if _given(row, task)}
    if not scores:
        raise ValueError("no score")
    return scores


def _given(row: Cells, name: str) -> bool:
    """Whether there is anything in a cell; raises `KeyError` where a task that was asked for has no column."""
    value = row.get(name) if name in KNOWN else row[name]
    return value is not None and str(value).strip() != ""


def _number(row: Cells, name: str) -> float:
    value = row[name]
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {shown(value)} is no number; name the columns that are scores (tasks)") from None


def _check_points(path: Path, trainings: list[Training]) -> None:
    """Raises `OptionError` where scores of a task of GLUE are fractions: nobody scores 1 point of 100."""
    for task in METRICS:
        values = [abs(training.scores[task]) for training in trainings if task in training.scores]
        values = [value for value in values if value > 0]  # NaN failed, and 0 says nothing of the unit
        if values and max(values) <= 1:
            raise OptionError(f"{path}: scores of {task} lie from -1 to 1, and points go to 100; scale them by 100")


def _lists(store: Store, protocol: str) -> dict[str, list[str]]:
    """The cards trained from scratch under a protocol, as JSON, by task."""
    lists: dict[str, dict[str, None]] = {}
    for row in store.rows():
        if row["protocol"] == protocol and row["init"] == SCRATCH:
            lists.setdefault(row["task"], {})[row["card"]] = None
    return {task: list(cards) for task, cards in lists.items()}


def _word(name: str) -> str:
    """A name for a file, and for the space of it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:64] or "cards"
