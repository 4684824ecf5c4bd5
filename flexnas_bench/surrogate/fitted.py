"""Fitted surrogates as text: their hyperparameters, by a digest of what they were fitted to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from flexnas_bench.errors import TableCorruptError, shown
from flexnas_bench.predictors.process import ProcessSettings

_HEADER = """\
# Hyperparameters of surrogates, by a digest of the trainings that they were fitted to; `flexnas-bench surrogate fit`
# writes them. Lengths are in units of the deviation of vectors, variances of scores, or of logarithms of costs.
"""


@dataclass(frozen=True)
class Fitted:
    """Hyperparameters of the processes of a surrogate, `None` where they are not known.

    Attributes:
        scores: of scores.
        costs: of the logarithm of costs.
    """

    scores: ProcessSettings | None = None
    costs: ProcessSettings | None = None


class FittedModel(NamedTuple):
    """A fitted surrogate: of which task and protocol, and its hyperparameters."""

    task: str
    protocol: str
    fitted: Fitted


def fitted_text(models: Mapping[str, FittedModel]) -> str:
    """The text of a file with models, by the digest of what each was fitted to (`Surrogate.facts`)."""
    blocks = [_HEADER]
    for digest, (task, protocol, fitted) in models.items():
        lines = [f"[{_quoted(digest)}]", f"task = {_quoted(task)}", f"protocol = {_quoted(protocol)}"]
        parts = {"scores": fitted.scores, "costs": fitted.costs}
        lines += [f"{name} = {_inline(settings)}" for name, settings in parts.items() if settings is not None]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def read_fitted(content: Mapping[str, Any], where: str) -> dict[str, FittedModel]:
    """What such a file says, by digest.

    Args:
        content: of the TOML file.
        where: its name, for errors.

    Raises:
        TableCorruptError: it has another form, or a number that makes no sense.
    """
    try:
        return {
            digest: FittedModel(
                str(entry["task"]),
                str(entry["protocol"]),
                Fitted(*(_settings(entry[part]) if part in entry else None for part in ("scores", "costs"))),
            )
            for digest, entry in content.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TableCorruptError(f"{where}: no hyperparameters of a surrogate: {shown(str(error))}") from None


def _settings(entry: Mapping[str, Any]) -> ProcessSettings:
    noises = {int(region): _positive(noise) for region, noise in entry["noises"].items()}
    if not noises:
        raise ValueError("no noise")
    return ProcessSettings(_positive(entry["length"]), _positive(entry["variance"]), noises)


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{shown(value)} is not a positive number")
    return float(value)


def _inline(settings: ProcessSettings) -> str:
    noises = ", ".join(f"{region} = {noise!r}" for region, noise in settings.noises.items())
    return f"{{ length = {settings.length!r}, variance = {settings.variance!r}, noises = {{ {noises} }} }}"


def _quoted(text: str) -> str:
    escaped = "".join(f"\\u{ord(c):04X}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in text)
    return f'"{escaped}"'
