"""Protocols as their descriptions have them: one each, and for a learning curve one for every step count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flexnas_bench.errors import OptionError, shown

PROTOCOLS, SOURCES = "protocols.toml", "sources.toml"


def expand_protocols(described: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Protocols by name. One that lists `checkpoints` is a learning curve: a protocol for every step count.

    Curve `c` at 150,000 steps is the protocol `c-step-150k`, with `pretraining_steps` and `curve = "c"`.

    Raises:
        OptionError: a description that makes no sense, by its name.
    """
    protocols: dict[str, dict[str, Any]] = {}
    for name, facts in check_descriptions(described).items():
        if "curve" in facts:
            raise OptionError(f"{name}: curve is what a protocol with checkpoints makes, not what it says")
        if "checkpoints" not in facts:
            protocols[name] = facts
            continue
        shared = {key: value for key, value in facts.items() if key != "checkpoints"}
        for steps in _checkpoints(name, facts["checkpoints"]):
            protocols[checkpoint_protocol(name, steps)] = shared | {"pretraining_steps": steps, "curve": name}
    return protocols


def check_descriptions(described: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Descriptions by name, each a table; raises `OptionError` for one that is none."""
    for name, facts in described.items():
        if not isinstance(facts, dict):
            raise OptionError(f"{name}: not a table, as in [{name}]")
    return dict(described)


#: How each file of descriptions is read.
READERS = {PROTOCOLS: expand_protocols, SOURCES: check_descriptions}


def checkpoint_protocol(curve: str, steps: int) -> str:
    """Name of the protocol of a learning curve at a step count, a multiple of 1,000."""
    return f"{curve}-step-{steps // 1000}k"


def _checkpoints(name: str, steps: Any) -> list[int]:
    whole = isinstance(steps, list) and all(type(n) is int and 0 <= n < 2**63 and n % 1000 == 0 for n in steps)
    if not whole or len(set(steps)) < len(steps):
        raise OptionError(f"{name}: checkpoints: {shown(steps)} is not a list of different multiples of 1,000")
    return sorted(steps)
