"""Whether everything shipped, and everything in a store, is what it says and fits together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from flexnas_bench.card import ModelCard
from flexnas_bench.distance import matched
from flexnas_bench.embedding.loading import LEARNED, learned_path
from flexnas_bench.embedding.transformer2vec import SCHEMA as VECTORS
from flexnas_bench.errors import FlexnasError, shown
from flexnas_bench.protocols import READERS
from flexnas_bench.published.figures import FIGURES, table_path
from flexnas_bench.records import training_of
from flexnas_bench.results import (
    ARCHITECTURES,
    DEFAULT_PROTOCOL,
    FITTED_FILE,
    GLUE8,
    GLUE_METRICS,
    ORIGINS,
    POOL,
    PREDICTED,
    PREDICTED_G1,
    PREDICTIONS,
    RESULTS,
    RUNS_TRAINED,
    SCRATCH,
)
from flexnas_bench.searching.runs import CARDS, CARDS_FILE, RUNS, make_rows
from flexnas_bench.space import load_space
from flexnas_bench.storage import CHECKSUMS, read_checksums, read_parquet, read_toml
from flexnas_bench.store import KEY, Store

Rows = list[dict[str, Any]]
#: What is imported from published figures.
IMPORTED: dict[str, pa.Schema] = {
    "architectures.parquet": ARCHITECTURES,
    "pool.parquet": POOL,
    "runs_trained.parquet": RUNS_TRAINED,
    "results.parquet": RESULTS,
    **{table_path(name): figure.schema for name, figure in FIGURES.items()},
}
#: Those, and what is computed from cards alone.
SCHEMAS = (
    IMPORTED
    | {matched.SHIPPED: matched.SCHEMA, PREDICTED_G1: PREDICTIONS}
    | {learned_path(name): VECTORS for name in LEARNED}
)


@dataclass(frozen=True)
class Check:
    """What was looked at, how much of it there was, and what is wrong with it, a line each."""

    what: str
    count: int
    problems: tuple[str, ...]


def verify_tables(folder: Path) -> Iterator[Check]:
    """Checks a folder of shipped data: checksums, schemas, cards, and that every reference leads somewhere."""
    names = sorted(
        path.relative_to(folder).as_posix() for kind in ("*.parquet", "*.toml", "*.json") for path in folder.rglob(kind)
    )
    yield _check("checksums", names, lambda: _checksums(folder, names))
    tables: dict[str, Rows] = {}
    yield _check("schemas", [n for n in names if n.endswith(".parquet")], lambda: _read_all(folder, names, tables))
    if not tables.keys() >= SCHEMAS.keys():
        return  # what is left cannot be said of half the tables
    cards = tables["architectures.parquet"]
    runs, results = tables["runs_trained.parquet"], tables["results.parquet"]
    hashes = {card["hash"] for card in cards}
    described: list[dict[str, Any]] = []
    yield _check("descriptions", described, lambda: _describe(folder, described))
    if len(described) < 2:
        return
    yield _check("trainings", runs, lambda: _trainings(runs, hashes, *described))
    yield _check("scores", results, lambda: _scores(results, runs))
    yield _check("pool", tables["pool.parquet"], lambda: _pool(tables["pool.parquet"], runs))
    figures = [row for name in FIGURES for row in tables[table_path(name)]]
    yield _check("published figures", figures, lambda: _figures(figures, described[1]))
    searches = {name: rows for name, rows in tables.items() if _schema(name) is RUNS}
    found = {name: rows for name, rows in tables.items() if _schema(name) is CARDS}
    answers = _answers(results, runs)
    yield _check("searches", _all(searches), lambda: _searches(searches, answers))
    yield _check("cards of searches", _all(found), lambda: _found(searches, found))
    vectors = {name: tables[learned_path(name)] for name in LEARNED}
    yield _check("vectors", _all(vectors), lambda: _vectors(vectors, cards))
    models: list[tuple[str, str]] = []
    yield _check("surrogates", models, lambda: _models(folder / FITTED_FILE, models))
    predicted = tables[PREDICTED_G1]
    yield _check("predictions", predicted, lambda: _predictions(predicted, cards, models))
    problems = tables[matched.SHIPPED]
    yield _check("matched edges", problems, lambda: _problems(problems))
    yield _check("cards", cards, lambda: _cards(cards))


def verify_store(store: Store) -> Iterator[Check]:
    """Checks a store: checksums of its parts, cards and hashes, and that no score is told in two ways.

    Raises:
        RunMismatchError: there is no store.
        TableCorruptError: it is one of another version.
    """
    store.check()
    return _verify_store(store)


def _verify_store(store: Store) -> Iterator[Check]:
    parts: list[Rows] = []

    def read() -> Iterator[str]:
        for name in store.part_names():
            try:
                parts.append(store.read_part(name))
            except FlexnasError as error:
                yield str(error)

    yield _check("parts", store.part_names(), read)
    rows = [row for part in parts for row in part]
    yield _check("rows", rows, lambda: _store_rows(rows))
    yield _check("descriptions", READERS, lambda: _descriptions(store))
    if (path := store.folder / FITTED_FILE).exists():
        models: list[tuple[str, str]] = []
        yield _check("surrogates", models, lambda: _models(path, models))


def _check(what: str, items: Iterable[Any], find: Callable[[], Iterable[str]]) -> Check:
    """Looks for problems; a table so wrong that looking fails is one too."""
    problems: list[str] = []
    try:
        problems += find()
    except FlexnasError as error:
        problems.append(str(error))
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        problems.append(f"{type(error).__name__} while looking: {shown(str(error))}")
    return Check(what, len(list(items)), tuple(problems))  # counted after looking, which finds some on the way


def _checksums(folder: Path, names: list[str]) -> Iterator[str]:
    listed = read_checksums(folder)
    for name in sorted(listed.keys() | set(names)):
        if name not in listed:
            yield f"{name} is not in {CHECKSUMS}"
        elif name not in names:
            yield f"{name} is missing"
        elif sha256((folder / name).read_bytes()).hexdigest() != listed[name]:
            yield f"{name} has another checksum than {CHECKSUMS} says"


def _schema(name: str) -> pa.Schema | None:
    """The schema of a shipped file, if it is a table that is known."""
    if name.startswith("runs/"):
        return CARDS if name.endswith(f"_{CARDS_FILE}") else RUNS
    return SCHEMAS.get(name)


def _all(tables: Mapping[str, Rows]) -> Rows:
    return [row for rows in tables.values() for row in rows]


def _read_all(folder: Path, names: list[str], tables: dict[str, Rows]) -> Iterator[str]:
    """Reads every table under its schema into `tables`."""
    for name in names:
        schema = _schema(name)
        if not name.endswith(".parquet"):
            continue
        if schema is None:
            yield f"{name} is a table that nobody knows"
            continue
        try:
            tables[name] = read_parquet(folder / name, schema).to_pylist()
        except (FlexnasError, UnicodeDecodeError) as error:
            yield f"{name}: {error}"
            continue
        if not tables[name]:
            yield f"{name} is empty"


def _vectors(vectors: dict[str, Rows], cards: Rows) -> Iterator[str]:
    """One finite vector of one length for every card of G1, in order."""
    order = {card["g1_index"]: card["hash"] for card in cards if card["g1_index"] is not None}
    for name, rows in vectors.items():
        if [row["hash"] for row in rows] != [order[i] for i in range(len(order))]:
            yield f"{name}: not the cards of g1 in order"
        if len({len(row["vector"]) for row in rows}) > 1:
            yield f"{name}: vectors of several lengths"
        if not all(math.isfinite(x) for row in rows for x in row["vector"]):
            yield f"{name}: a vector that is not finite"


def _models(path: Path, models: list[tuple[str, str]]) -> list[str]:
    """Reads hyperparameters of surrogates; `models` has task and protocol of each."""
    from flexnas_bench.surrogate.fitted import read_fitted  # scipy, which other commands begin without

    models += [(model.task, model.protocol) for model in read_fitted(read_toml(path), str(path)).values()]
    return []


def _predictions(rows: Rows, cards: Rows, models: list[tuple[str, str]]) -> Iterator[str]:
    """Finite numbers for every card of G1, in order, under every model."""
    order = {card["g1_index"]: card["hash"] for card in cards if card["g1_index"] is not None}
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        found.setdefault((row["task"], row["protocol"]), []).append(row["hash"])
        numbers = [row[name] for name in ("mean", "epistemic_std", "aleatoric_std")]
        if not all(map(math.isfinite, numbers)) or min(numbers[1:]) < 0:
            yield f"card {row['hash'][:12]}, {row['task']}: {numbers} is no prediction"
    if found.keys() != set(models):
        yield "the models are those of other tasks"
    for task, hashes in found.items():
        if hashes != [order[i] for i in range(len(order))]:
            yield f"{task[0]}: not the cards of g1 in order"


def _problems(rows: Rows) -> Iterator[str]:
    """Each problem once, each answer a number of edges."""
    problems = Counter(problem for problem, _ in matched.read_answers(rows))
    yield from (f"{problem} is answered {count} times" for problem, count in problems.items() if count > 1)
    yield from (f"{row}: no number of edges" for row in rows if row["matched"] < 1)


def _describe(folder: Path, described: list[dict[str, Any]]) -> Iterator[str]:
    """Reads what protocols and sources are into `described`."""
    for name, read in READERS.items():
        try:
            described.append(read(read_toml(folder / name)))
        except FlexnasError as error:
            yield f"{name}: {error}"


def _cards(rows: Rows) -> Iterator[str]:
    g1 = load_space("g1")
    for digest, count in Counter(row["hash"] for row in rows).items():
        if count > 1:
            yield f"card {digest[:12]} is there {count} times"
    for row in rows:
        try:
            card = ModelCard.from_json(row["card"])
        except FlexnasError as error:
            yield f"card {row['hash'][:12]}: {error}"
            continue
        facts = {
            "hash": card.hash,
            "g1_index": g1.index(card) if card in g1 else None,
            "layers": card.num_layers,
            "parameters": card.parameters,
            "flops": card.flops(),
        }
        yield from (f"card {row['hash'][:12]}: {name} is {row[name]}" for name in facts if row[name] != facts[name])


def _trainings(rows: Rows, cards: set[str], protocols: Iterable[str], sources: Iterable[str]) -> Iterator[str]:
    for run_id, count in Counter(row["run_id"] for row in rows).items():
        if count > 1:
            yield f"training {run_id} is there {count} times"
    known = {"hash": cards, "init": {SCRATCH, *cards}, "origin": ORIGINS, "protocol": protocols, "source": sources}
    for row in rows:
        yield from (
            f"training {row['run_id']}: {name} {row[name]} leads nowhere"
            for name, values in known.items()
            if row[name] not in values
        )


def _scores(rows: Rows, runs: Rows) -> Iterator[str]:
    trainings = {run["run_id"]: run for run in runs}
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        training = trainings.get(row["run_id"], {})
        if any(training.get(name) != row[name] for name in ("hash", "protocol", "init", "replicate")):
            yield f"a {row['task']} score of {row['run_id']} has no such training"
        if row["task"] in scores.setdefault(row["run_id"], {}):
            yield f"training {row['run_id']} has two scores of {row['task']}"
        scores[row["run_id"]][row["task"]] = row["value"]
    for run_id, tasks in scores.items():
        if GLUE8 in tasks and not tasks.keys() >= GLUE_METRICS.keys():
            yield f"training {run_id} has {GLUE8} without its tasks"
        elif GLUE8 in tasks and not math.isclose(tasks[GLUE8], fmean(tasks[task] for task in GLUE_METRICS)):
            yield f"training {run_id}: {GLUE8} is not the mean of its tasks"
    yield from (f"training {run_id} has no score" for run_id in trainings.keys() - scores.keys())


def _pool(rows: Rows, runs: Rows) -> Iterator[str]:
    trained = {run["hash"] for run in runs if run["protocol"] == DEFAULT_PROTOCOL}
    for row in rows:
        card = _card_of(row["card"])
        if row["hash"] not in trained or card is None or card.hash != row["hash"]:
            yield f"card {row['hash'][:12]} is not one of the trained ones"
    if missing := trained - {row["hash"] for row in rows}:
        yield f"{len(missing)} trained cards are not in the pool"


def _figures(rows: Rows, sources: Iterable[str]) -> Iterator[str]:
    for row in rows:
        if row["source"] not in sources:
            yield f"source {row['source']} is not described"
        text = row.get("model_card_if_unique")
        if text is not None and _card_of(text) not in load_space("g1"):
            yield f"a card of fig5 is not of g1: {shown(text)}"


def _answers(results: Rows, runs: Rows) -> set[tuple[str, float]]:
    """What queries may have answered, by hash: means over replicates of one origin."""
    origins = {run["run_id"]: run["origin"] for run in runs}
    values: dict[tuple[str, ...], list[float]] = {}
    for row in results:
        question = (row["hash"], row["task"], row["protocol"], row["init"], origins.get(row["run_id"], ""))
        values.setdefault(question, []).append(row["value"])
    return {(question[0], fmean(replicates)) for question, replicates in values.items()}


def _searches(tables: Mapping[str, Rows], values: set[tuple[str, float]]) -> Iterator[str]:
    """Rows that follow from one another, and scores of trained cards that are in the tables."""
    runs: dict[tuple[str, str, int], Rows] = {}
    for name, rows in tables.items():
        for row in rows:
            runs.setdefault((name, row["optimizer"], row["seed"]), []).append(row)
    for (name, optimizer, seed), run in runs.items():
        if repr(make_rows(run, optimizer, seed)) != repr(run):  # as text, so that NaN equals NaN
            yield f"{name}, {optimizer}, seed {seed}: steps, best values and times do not follow from one another"
        for row in run:
            told = math.isnan(row["value"]) or row["origin"] == PREDICTED
            if not told and (row["card_hash"], row["value"]) not in values:
                where = f"{name}, {optimizer}, seed {seed}, step {row['step']}"
                yield f"{where}: no such score of card {row['card_hash'][:12]}"


def _found(searches: Mapping[str, Rows], cards: Mapping[str, Rows]) -> Iterator[str]:
    """Of every table of runs the cards, each once and with its own hash."""
    for name, rows in searches.items():
        beside = name.replace(".parquet", f"_{CARDS_FILE}")
        listed = [row["card_hash"] for row in cards.get(beside, [])]
        if sorted(listed) != sorted({row["card_hash"] for row in rows}):
            yield f"{beside} does not list the cards of {name}"
    for name, rows in cards.items():
        for row in rows:
            card = _card_of(row["card"])
            if card is None or card.hash != row["card_hash"]:
                yield f"{name}: card {row['card_hash'][:12]} has another hash"


def _card_of(text: str) -> ModelCard | None:
    """The card of a text, `None` for what is none."""
    try:
        return ModelCard.from_json(text)
    except FlexnasError:
        return None


def _store_rows(rows: Rows) -> Iterator[str]:
    told: dict[tuple[Any, ...], float] = {}
    for row in rows:
        try:
            if training_of(row).card.hash != row["hash"]:
                yield f"card {row['hash'][:12]} has another hash"
        except FlexnasError as error:
            yield f"card {row['hash'][:12]}, {row['task']}: {error}"
        key = tuple(row[name] for name in KEY)
        if repr(told.setdefault(key, row["value"])) != repr(row["value"]):
            yield f"card {row['hash'][:12]}, {row['task']}, replicate {row['replicate']}: two values"


def _descriptions(store: Store) -> Iterator[str]:
    for name in READERS:
        try:
            store.described(name)
        except FlexnasError as error:
            yield str(error)
