"""How methods are told apart, the same in all pictures: by colour, in grey by mark, variants of one by dash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import cycle

#: Okabe and Ito, and two more that are told apart from these.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933", "#882255")
#: The mark of each colour, as of Matplotlib.
MARKS = dict(zip(COLOURS, "*PvDs^ohX", strict=True))
#: The colour of each method, and of those that are drawn beside BOSHNAS alone.
METHODS = {
    "random": COLOURS[6],
    "evolution": COLOURS[4],
    "reinforce": COLOURS[2],
    "gp-bo": COLOURS[5],
    "bananas": COLOURS[3],
    "boshnas": COLOURS[1],
    "deep-wide": COLOURS[7],
    "local-search": COLOURS[8],
    "tpe": COLOURS[0],
    "without second order": COLOURS[0],
    "without heteroscedasticity": COLOURS[2],
}
_DASHES = ("solid", "dashed", "dotted", "dashdot")


@dataclass(frozen=True)
class Style:
    """How a line is drawn.

    Attributes:
        colour: in hexadecimal.
        mark: a few times along it, as of Matplotlib.
        dash: as both Matplotlib and Bokeh have it.
    """

    colour: str
    mark: str
    dash: str = "solid"


def styles_of(names: Iterable[str]) -> dict[str, Style]:
    """A style for each name; names that differ after a comma only are one method, and have different dashes."""
    bases = {name: name.partition(",")[0] for name in names}
    colours = colours_of(bases.values())
    styles, drawn = {}, Counter[str]()
    for name, base in bases.items():
        styles[name] = Style(colours[base], MARKS[colours[base]], _DASHES[drawn[base] % len(_DASHES)])
        drawn[base] += 1
    return styles


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: that of the method, and to others those that are left, in turn."""
    names = list(dict.fromkeys(names))
    left = [colour for colour in COLOURS if colour not in {METHODS.get(name) for name in names}] or COLOURS
    others = cycle(left)
    return {name: METHODS.get(name) or next(others) for name in names}
