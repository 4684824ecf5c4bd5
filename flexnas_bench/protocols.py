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
    described = check_descriptions(described)
    for name in described:
        facts = settle(name, described)
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


def settle(name: str, described: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A description with what it has from the one that it names as its `base`, tables in it likewise.

    Raises:
        OptionError: there is no such base, or it comes back to itself.
    """
    facts = dict(described[name])
    if "base" not in facts:
        return facts
    base, others = facts.pop("base"), {other: described[other] for other in described if other != name}
    if not isinstance(base, str) or base not in others:
        raise OptionError(f"{name}: base: unknown protocol {shown(base)}")
    return overlaid(settle(base, others), facts)


def overlaid(base: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the entries of another over it, tables in it likewise."""
    merged = dict(base)
    for name, value in facts.items():
        there = merged.get(name)
        merged[name] = overlaid(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return merged


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
