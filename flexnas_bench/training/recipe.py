"""Training recipes: everything that a protocol settles, so that a training can be run again (appendix B.5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from hashlib import sha256
from typing import Any, Self, get_type_hints

from flexnas_bench.errors import OptionError, shown


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Masked language modelling.

    Attributes:
        corpus: names of text files, without their ending.
        steps: optimizer steps; 0 for no pre-training.
        batch_size: blocks a step.
        micro_batch_size: blocks at once, for a device that holds no more; as many as a step has if 0. It changes no
            gradient but by rounding, and by what dropout drops.
        length: tokens of a block, with its two marks.
        masked: share of tokens to be told.
        learning_rate: at its peak, after a linear warm-up and before a linear decay to 0.
        warmup_steps: of the warm-up.
        weight_decay: of AdamW; not of biases and norms.
        beta1, beta2, epsilon: of AdamW.
        gradient_norm: largest norm of a gradient; longer ones are cut. 0 for any.
        precision: `float32`, or `bfloat16` by autocast.
    """

    corpus: tuple[str, ...]
    steps: int
    batch_size: int
    micro_batch_size: int = 0
    length: int = 128
    masked: float = 0.15
    learning_rate: float
    warmup_steps: int
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-6
    gradient_norm: float = 1.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        _check(self.steps >= 0, "steps", self.steps)
        _check(self.batch_size > 0, "batch_size", self.batch_size)
        _check(0 <= self.micro_batch_size <= self.batch_size, "micro_batch_size", self.micro_batch_size)
        _check(2 < self.length <= 512, "length", self.length)
        _check(0 < self.masked < 1, "masked", self.masked)
        _check(self.learning_rate > 0, "learning_rate", self.learning_rate)
        _check(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps)
        _check(self.precision in ("float32", "bfloat16"), "precision", self.precision)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """From a table of TOML; raises `OptionError` naming the entry at fault."""
        return _read(cls, facts)


def digest(*parts: Any) -> str:
    """Hash of recipes, 64 hex digits: that of all their settings, whatever their order."""
    return sha256(json.dumps([asdict(part) for part in parts], sort_keys=True).encode()).hexdigest()


def _read(kind: Any, facts: Mapping[str, Any]) -> Any:
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(facts.keys() - known.keys()):
        raise OptionError(f"{unknown[0]}: no setting of {kind.__name__.lower()}; there are {', '.join(known)}")
    if missing := sorted(name for name, field in known.items() if field.default is MISSING and name not in facts):
        raise OptionError(f"{missing[0]}: missing")
    types = get_type_hints(kind)
    return kind(**{name: _value(name, value, types[name]) for name, value in facts.items()})


def _value(name: str, value: Any, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        _check(isinstance(value, list) and all(isinstance(one, str) for one in value), name, value)
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    _check(type(value) is kind, name, value)
    return value


def _check(holds: bool, name: str, value: Any) -> None:
    if not holds:
        raise OptionError(f"{name}: {shown(value)} makes no sense")
