"""Protocols that can be run: complete recipes by name, as `protocols.toml` or a user's own file has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flexnas_bench.errors import OptionError, shown
from flexnas_bench.protocols import PROTOCOLS, check_descriptions, overlaid, settle
from flexnas_bench.storage import read_shipped_toml, read_toml
from flexnas_bench.training.glue import TASKS
from flexnas_bench.training.recipe import Finetuning, Pretraining, digest


@dataclass(frozen=True)
class Protocol:
    """A training recipe.

    Attributes:
        name: by which its results are told from those of others.
        pretraining: settings of the pre-training.
        finetuning: settings of each task.
        facts: its description, with what it has from a base.
    """

    name: str
    pretraining: Pretraining
    finetuning: Mapping[str, Finetuning]
    facts: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """64 hex digits of all settings, but not of the name and what is said in words."""
        return digest(self.pretraining, *(self.finetuning[task] for task in sorted(self.finetuning)))


def load_protocol(name: str | Path) -> Protocol:
    """A protocol by its name, or from a TOML file with one.

    A file has one table, named as the protocol, with the entries that `data/protocols.toml` has; or with `base`, the
    name of a shipped one, and what differs from it.

    >>> protocol = load_protocol("cpu-lite")
    >>> protocol.finetuning["rte"].rows
    3000

    Raises:
        OptionError: there is none of that name, it cannot be run, or a setting makes no sense.
        TableCorruptError: the file is missing, or no TOML.
    """
    shipped = check_descriptions(read_shipped_toml(PROTOCOLS))
    if not str(name).endswith(".toml"):
        if name not in shipped:
            runnable = ", ".join(one for one, facts in shipped.items() if "pretraining" in facts)
            raise OptionError(f"unknown protocol {shown(str(name))}; there are {runnable}, and .toml files")
        return _read(str(name), settle(str(name), shipped))
    described = check_descriptions(read_toml(Path(name)))
    if len(described) != 1:
        raise OptionError(f"{name}: one table, named as the protocol, and not {len(described)}")
    (own,) = described
    if own in shipped:
        raise OptionError(f"{name}: {own} is the name of another protocol; take one of your own")
    try:
        return _read(own, settle(own, {**shipped, **described}))
    except OptionError as error:
        raise OptionError(f"{name}: {error}") from None


def _read(name: str, facts: Mapping[str, Any]) -> Protocol:
    for part in ("pretraining", "finetuning"):
        if not isinstance(facts.get(part), dict):
            raise OptionError(f"protocol {name} is a record and cannot be run: it has no table of {part}")
    common = dict(facts["finetuning"])
    tasks = common.pop("tasks", {})
    if not isinstance(tasks, dict) or not all(isinstance(one, dict) for one in tasks.values()):
        raise OptionError(f"protocol {name}: finetuning.tasks: a table of tables")
    if unknown := sorted(tasks.keys() - TASKS.keys()):
        raise OptionError(f"protocol {name}: finetuning.tasks: {unknown[0]} is none of {', '.join(TASKS)}")
    try:
        pretraining = Pretraining.read(facts["pretraining"])
        finetuning = {task: Finetuning.read(overlaid(common, tasks.get(task, {}))) for task in TASKS}
    except OptionError as error:
        raise OptionError(f"protocol {name}: {error}") from None
    return Protocol(name, pretraining, finetuning, facts)
