"""Optimizers by name: every entry point of the group `flexnas_bench.optimizers`, whoever installed it."""

from __future__ import annotations

import inspect
import math
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from flexnas_bench.errors import OptionError, shown
from flexnas_bench.optimizers.base import Optimizer
from flexnas_bench.space import DesignSpace, load_space

GROUP = "flexnas_bench.optimizers"
#: In the place of a default: the option has none.
REQUIRED = inspect.Parameter.empty


@cache
def _entries() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        if entry.name in found and found[entry.name].value != entry.value:
            raise OptionError(f"two optimizers are named {entry.name}: {found[entry.name].value} and {entry.value}")
        found[entry.name] = entry
    return found


def optimizer_names() -> list[str]:
    """Names of all installed optimizers, sorted."""
    return sorted(_entries())


def optimizer_class(name: str) -> type[Optimizer]:
    """The class behind a name, or behind `module:Class` of whatever can be imported.

    Raises:
        OptionError: the name is unknown, or what it names cannot be loaded or is no optimizer.
    """
    if ":" in name and not EntryPoint.pattern.fullmatch(name):
        raise OptionError(f"optimizer {shown(name)} is not of the form module:Class")
    entry = EntryPoint(name, name, GROUP) if ":" in name else _entries().get(name)
    if entry is None:
        raise OptionError(f"unknown optimizer {name!r:.80}; installed: {', '.join(optimizer_names())}, or module:Class")
    try:
        found = entry.load()
    except Exception as error:
        raise OptionError(f"optimizer {name} cannot be loaded: {shown(str(error))}") from error
    return check_class(found, name)


def check_class(kind: Any, name: str = "") -> type[Optimizer]:
    """A class that optimizers can be made of; raises `OptionError` for anything else."""
    if not (inspect.isclass(kind) and issubclass(kind, Optimizer)) or inspect.isabstract(kind):
        raise OptionError(f"optimizer {name or shown(kind)} is not a subclass of Optimizer with a `propose` of its own")
    return kind


def source_digest(kind: type[Optimizer]) -> str:
    """16 hex digits of the files that a class and what it inherits are written in; empty where there are none."""
    digest = sha256()
    for base in kind.__mro__:
        if issubclass(base, Optimizer) and base is not Optimizer:
            try:
                digest.update(Path(inspect.getfile(base)).read_bytes())
            except (OSError, TypeError):  # written at a prompt
                return ""
    return digest.hexdigest()[:16]


def optimizer_options(kind: type[Optimizer]) -> dict[str, Any]:
    """Options of its own that an optimizer takes, with their defaults or `REQUIRED`; inherited ones first."""
    common = inspect.signature(Optimizer.__init__).parameters
    options: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Optimizer) and "__init__" in vars(base):
            for name, parameter in inspect.signature(base.__init__).parameters.items():
                if name not in common and parameter.kind is parameter.KEYWORD_ONLY:
                    options[name] = parameter.default
    return options


def make_optimizer(optimizer: str | type[Optimizer], space: DesignSpace | str, **options: Any) -> Optimizer:
    """An optimizer by name or class.

    Args:
        optimizer: a name of `optimizer_names()`, or a subclass of `Optimizer`.
        space: the design space to search, or its name.
        **options: `seed`, `embedding`, `initial` and the optimizer's own.

    Raises:
        OptionError: an unknown name, an unknown option, or one that makes no sense.
    """
    kind = optimizer_class(optimizer) if isinstance(optimizer, str) else check_class(optimizer)
    own = optimizer_options(kind)
    known = {"seed", "embedding", "initial", *own}
    for name, value in options.items():
        if name not in known:
            raise OptionError(f"unknown option {shown(name)}; {kind.__name__} takes {', '.join(sorted(known))}")
        if name in own and not _fits(value, own[name]):
            raise OptionError(f"option {name}: {shown(value)} is not of the kind of its default, {own[name]!r}")
    if needed := [name for name, default in own.items() if default is REQUIRED and name not in options]:
        raise OptionError(f"option {needed[0]} of {kind.__name__} has no default; give it a value")
    try:
        return kind(space if isinstance(space, DesignSpace) else load_space(space), **options)
    except TypeError as error:  # an __init__ that does not take **common, for one
        raise OptionError(f"{kind.__name__} cannot be made: {error}") from error


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of the type of an option's default; whole numbers do for real ones, NaN and inf never."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if default is REQUIRED:
        return True
    if default is None or isinstance(value, bool) != isinstance(default, bool):
        return default is None
    if isinstance(default, float) and isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, type(default))
