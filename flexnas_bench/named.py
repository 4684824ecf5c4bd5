"""Model cards that have names: the paper's initial models (section 4.2) and its best ones (B.6, Figure 10)."""

from __future__ import annotations

from typing import Any

_FAMILIES: dict[str, tuple[str, str | int]] = {
    "bert": ("SA", "SDP"),
    "fnet": ("LT", "DFT"),
    "convbert": ("DSC", 9),
}
_SHAPES = {"tiny": (2, 128), "2-256": (2, 256), "4-128": (4, 128), "mini": (4, 256)}  # layers, hidden size


def _stacks(*stacks: tuple[int, str, str | int, int, int, list[int]]) -> dict[str, Any]:
    """A card from (layers, operation, parameter, hidden, heads, feed-forward) per stack."""
    layers = [stack[1:] for stack in stacks for _ in range(stack[0])]
    o, p, h, n, f = (list(column) for column in zip(*layers, strict=True))
    return {"l": len(layers), "o": o, "h": h, "n": n, "f": f, "p": p}


#: The 12 models that the paper's search begins with (section 4.2).
PAPER12 = tuple(f"{family}-{shape}" for family in _FAMILIES for shape in _SHAPES)
#: Card dictionaries by name. A width of 256 goes with four heads and 1024, one of 128 with two and 512.
NAMED_CARDS: dict[str, dict[str, Any]] = {
    f"{family}-{shape}": _stacks((depth, *operation, hidden, hidden // 64, [hidden * 4]))
    for family, operation in _FAMILIES.items()
    for shape, (depth, hidden) in _SHAPES.items()
}
NAMED_CARDS |= {
    "flexibert-mini-without-second-order": _stacks(
        (1, "SA", "SDP", 128, 4, [1024]),
        (1, "SA", "WMA", 128, 4, [1024]),
    ),
    "flexibert-mini-without-heteroscedasticity": _stacks(
        (2, "LT", "DCT", 256, 4, [1024] * 3),
        (2, "SA", "SDP", 128, 4, [512] * 3),
    ),
    "flexibert-best-s2": _stacks(
        (2, "LT", "DCT", 256, 4, [1024]),
        (2, "LT", "DCT", 256, 2, [512] * 3),
    ),
}


def _extrapolated(layers: int, hidden: int) -> dict[str, Any]:
    """FlexiBERT-Mini's rules at the depth and width of a BERT (sections 4.4 and B.6, Figure 10).

    BERT has heads of 64 and feed-forward layers four times as wide as it is. The first half of the layers is as wide,
    with half as many heads and three feed-forward layers of half the width each; the second half of the layers is half
    as wide, with as many heads and a feed-forward layer as wide as BERT's.
    """
    heads, wide = hidden // 64, hidden * 4
    return _stacks(
        (layers // 2, "SA", "SDP", hidden, heads // 2, [wide // 2] * 3),
        (layers // 2, "LT", "DCT", hidden // 2, heads, [wide]),
    )


#: Layers and width of the BERTs of Turc et al. (2019), whose counterparts the paper forms.
NAMED_CARDS |= {
    f"flexibert-{name}": _extrapolated(layers, hidden)
    for name, (layers, hidden) in {"mini": (4, 256), "small": (4, 512), "base": (12, 768), "large": (24, 1024)}.items()
}
