"""How findings are said: claims, verdicts, and blocks of Markdown."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flexnas_bench.searching.analysis import CONFIDENCE
from flexnas_bench.surrogate.judging import Interval


class Claim(NamedTuple):
    """A line of the summary: what the paper says, what is found here, and whether these agree."""

    question: str
    paper: str
    here: str
    verdict: str


class Section(NamedTuple):
    """A section of the page, and its lines of the summary."""

    text: str
    claims: Sequence[Claim] = ()


def verdict(effect: Interval, p: float = 0.0) -> str:
    """What an effect, positive as the paper claims it, and the p value of a test of it, say about the claim."""
    if p >= 1 - CONFIDENCE:
        return "open"
    if effect.low > 0:
        return "agrees"
    return "disagrees" if effect.high < 0 else "open"


def cell(effect: Interval) -> str:
    """An effect with its interval."""
    return f"{effect.value:+.2f} ({effect.low:+.2f} to {effect.high:+.2f})"


def judged(effect: Interval, p: float = 0.0) -> str:
    """An effect with its interval and its verdict."""
    return f"{cell(effect)}, {verdict(effect, p)}"


def likely(p: float) -> str:
    """A p value."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def together(*blocks: str) -> str:
    """Blocks one below another, those that are paragraphs or items of a list in lines of at most 120 characters."""
    return "\n\n".join(
        block if block.startswith(("#", "|")) else "\n".join(map(_filled, block.splitlines())) for block in blocks
    )


def _filled(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
