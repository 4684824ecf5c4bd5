"""Figure 8: a crossover of two cards of G1 into G2, where half as many layers go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.figures.layout import BLOCK_COLOURS
from flexnas_bench.figures.paper.plate import Plate, new_figure
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import load_space

PARENTS, CHILDREN, SEED = ("bert-mini", "flexibert-mini"), 3, 0


def crossover_figure(bench: Benchmark) -> Plate:  # noqa: ARG001 - of all figures
    """Two parents, what their children may have at each depth, and three children that were drawn."""
    rng, finer = np.random.default_rng(SEED), load_space("g2")
    one, other = parents = [ModelCard.named(name) for name in PARENTS]
    children = [finer.crossover(one, other, rng) for _ in range(CHILDREN)]
    columns = [(f"parent: {name}", card) for name, card in zip(PARENTS, parents, strict=True)]
    columns += [(f"child {number}", card) for number, card in enumerate(children, 1)]
    figure = new_figure(12.0, 4.2)
    axes = figure.add_subplot()
    for place, (title, card) in enumerate(columns):
        x = place + (place >= len(parents))  # a column between them says what is allowed
        axes.text(x, 0.75, title, ha="center", fontsize=9, weight="bold")
        for depth, layer in enumerate(card.layers):
            _box(axes, (x, -depth), _text(_facts(layer)), BLOCK_COLOURS[layer.operation])
    axes.text(len(parents), 0.75, "a child may have", ha="center", fontsize=9, weight="bold")
    for depth in range(parents[0].num_layers):
        _box(axes, (len(parents), -depth), _text(_choices(card.layers[depth] for card in parents)), "#f2f2f2")
    axes.set(xlim=(-0.55, len(columns) + 0.55), ylim=(-parents[0].num_layers + 0.4, 1.0))
    axes.set_axis_off()
    rows = [
        {"card": title, "layer": depth + 1} | _facts(layer)
        for title, card in columns
        for depth, layer in enumerate(card.layers)
    ]
    caption = (
        f"Crossover (section B.3) of {' and '.join(PARENTS)}, cards of G1, where two layers go together, into G2, "
        f"where each layer is chosen by itself; children drawn with seed {SEED} by DesignSpace.crossover."
    )
    return Plate(figure, pd.DataFrame(rows), caption)


def _facts(layer: EncoderLayer) -> dict[str, str]:
    return {
        "operation": f"{layer.operation}-{layer.parameter}",
        "hidden": str(layer.hidden),
        "heads": str(layer.heads),
        "feed-forward": str(layer.feed_forward[0]),
        "stack": str(len(layer.feed_forward)),
    }


def _text(facts: Mapping[str, str]) -> str:
    return (
        f"{facts['operation']}\nh {facts['hidden']}, {facts['heads']} heads\n"
        f"ff {facts['feed-forward']}, {facts['stack']} deep"
    )


def _choices(layers: Iterable[EncoderLayer]) -> dict[str, str]:
    """What parents have at one depth, decision by decision."""
    facts = [_facts(layer) for layer in layers]
    return {name: " | ".join(dict.fromkeys(one[name] for one in facts)) for name in facts[0]}


def _box(axes: Axes, centre: tuple[float, float], text: str, colour: str) -> None:
    x, y = centre
    shape = "round,pad=0,rounding_size=0.05"
    axes.add_patch(FancyBboxPatch((x - 0.46, y - 0.4), 0.92, 0.8, shape, facecolor=colour, edgecolor="0.3", lw=0.8))
    axes.text(x, y, text, ha="center", va="center", fontsize=7)
