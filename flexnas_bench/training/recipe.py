"""Training recipes: everything that a protocol settles, so that a training can be run again (appendix B.5)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from hashlib import sha256
from typing import Any, Self, get_args, get_origin, get_type_hints

from flexnas_bench.cost import POSITIONS, VOCABULARY
from flexnas_bench.errors import OptionError, shown


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What pre-training and fine-tuning both have.

    Attributes:
        batch_size: blocks, or examples, a step.
        learning_rate: at its peak, after a linear warm-up and before a linear decay to 0.
        length: of a block, or most tokens of an example, with its marks.
        weight_decay: of AdamW; not of biases and norms.
        beta1, beta2, epsilon: of AdamW.
        gradient_norm: largest norm of a gradient; longer ones are cut. 0 for any.
        dropout: of all kinds.
        precision: `float32`, or `bfloat16` by autocast.
    """

    batch_size: int
    learning_rate: float
    length: int = 128
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-6
    gradient_norm: float = 1.0
    dropout: float = 0.1
    precision: str = "float32"

    def __post_init__(self) -> None:
        _check(self.batch_size > 0, "batch_size", self.batch_size)
        _check(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate)
        _check(2 < self.length <= POSITIONS, "length", self.length)
        _check(0 <= self.weight_decay < math.inf, "weight_decay", self.weight_decay)
        _check(0 <= self.beta1 < 1, "beta1", self.beta1)
        _check(0 <= self.beta2 < 1, "beta2", self.beta2)
        _check(0 < self.epsilon < math.inf, "epsilon", self.epsilon)
        _check(0 <= self.gradient_norm < math.inf, "gradient_norm", self.gradient_norm)
        _check(0 <= self.dropout < 1, "dropout", self.dropout)
        _check(self.precision in ("float32", "bfloat16"), "precision", self.precision)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """From a table of TOML; raises `OptionError` naming the entry at fault."""
        known = {field.name: field for field in fields(cls)}
        own_first = sorted(known, key=lambda name: name not in cls.__annotations__)
        if unknown := sorted(facts.keys() - known.keys()):
            raise OptionError(f"{unknown[0]}: no setting of {cls.__name__.lower()}; there are {', '.join(own_first)}")
        if missing := sorted(name for name, one in known.items() if one.default is MISSING and name not in facts):
            raise OptionError(f"{missing[0]}: missing")
        types = get_type_hints(cls)
        return cls(**{name: _value(name, value, types[name]) for name, value in facts.items()})


@dataclass(frozen=True, kw_only=True)
class Pretraining(Recipe):
    """Masked language modelling.

    Attributes:
        corpus: names of text files, without their ending.
        steps: optimizer steps; 0 for no pre-training.
        micro_batch_size: blocks at once, for a device that holds no more; as many as a step has if 0. It changes no
            gradient but by rounding, and by what dropout drops.
        masked: share of tokens to be told.
        candidates: words that a step draws, to compare with those to be told in place of the whole vocabulary (see
            `Candidates`); 0 for the whole.
        warmup_steps: of the warm-up.
        tokens: number that the corpus must have, so that another of the same name is not taken for it; 0 for any.
    """

    corpus: tuple[str, ...]
    steps: int
    micro_batch_size: int = 0
    masked: float = 0.15
    candidates: int = 0
    warmup_steps: int
    tokens: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.steps >= 0, "steps", self.steps)
        _check(0 <= self.micro_batch_size <= self.batch_size, "micro_batch_size", self.micro_batch_size)
        _check(0 < self.masked < 1, "masked", self.masked)
        _check(0 <= self.candidates <= VOCABULARY, "candidates", self.candidates)
        _check(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps)
        _check(self.tokens >= 0, "tokens", self.tokens)


@dataclass(frozen=True, kw_only=True)
class Finetuning(Recipe):
    """One task.

    Attributes:
        epochs: passes over the training set, at most.
        patience: epochs without a better score on the development set after which it ends; 0 for never.
        warmup: share of the steps that warm up.
        rows: training examples, drawn once and the same for all cards; 0 for all.
        trials: of tuning the learning rate and the batch size with a tree-structured Parzen estimator; 0 for none.
        learning_rates: from and to, of tuning, where the logarithm is uniform.
        batch_sizes: to choose from, in tuning.
        examples: of the training and the development set that the task must have; none for any.
    """

    epochs: int
    patience: int = 0
    warmup: float = 0.06
    rows: int = 0
    trials: int = 0
    learning_rates: tuple[float, ...] = (2e-5, 5e-4)
    batch_sizes: tuple[int, ...] = (32, 64, 128)
    examples: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.epochs > 0, "epochs", self.epochs)
        _check(self.patience >= 0, "patience", self.patience)
        _check(0 <= self.warmup <= 1, "warmup", self.warmup)
        _check(self.rows >= 0, "rows", self.rows)
        _check(self.trials >= 0, "trials", self.trials)
        _check(len(self.learning_rates) == 2, "learning_rates", self.learning_rates)
        lowest, highest = self.learning_rates
        _check(0 < lowest <= highest < math.inf, "learning_rates", self.learning_rates)
        _check(len(self.batch_sizes) > 0 and min(self.batch_sizes) > 0, "batch_sizes", self.batch_sizes)
        _check(len(self.examples) in (0, 2), "examples", self.examples)
        if self.trials:  # the first of which is of the settings' own
            _check(lowest <= self.learning_rate <= highest, "learning_rate", self.learning_rate)
            _check(self.batch_size in self.batch_sizes, "batch_size", self.batch_size)


def digest(*parts: Recipe) -> str:
    """Hash of recipes, 64 hex digits: that of all their settings, whatever their order.

    What is at its default does not count: so a setting that a later version adds leaves the hashes of old recipes as
    they are, and defaults never change.
    """
    usual = [{one.name: one.default for one in fields(part)} for part in parts]
    own = [
        {name: value for name, value in asdict(part).items() if value != known[name]}
        for part, known in zip(parts, usual, strict=True)
    ]
    return sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _value(name: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        _check(isinstance(value, list), name, value)
        return tuple(_value(name, one, get_args(kind)[0]) for one in value)
    if kind is float and type(value) is int:
        return float(value)
    _check(type(value) is kind, name, value)
    return value


def _check(holds: bool, name: str, value: Any) -> None:
    if not holds:
        raise OptionError(f"{name}: {shown(value)} makes no sense")
