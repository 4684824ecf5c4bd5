"""Pictures of an embedding: its map, its distances against those it follows, and how many dimensions it needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flexnas_bench.card import ModelCard
from flexnas_bench.embedding.base import Vectors
from flexnas_bench.figures.saving import save_figure
from flexnas_bench.figures.styles import COLOURS

_COLOURS = COLOURS[:5]
_PAIRS = 200_000  # drawn at random for the picture of distances


@dataclass(frozen=True)
class Scored:
    """Cards with scores.

    Attributes:
        vectors: along the axes of the map, shape `(n, dim)`.
        scores: shape `(n,)`.
        what: what the scores are.
        source: where they come from.
    """

    vectors: Vectors
    scores: NDArray[np.float64]
    what: str
    source: str


def draw_map(
    cards: Sequence[ModelCard],
    points: Vectors,
    path: Path,
    *,
    title: str,
    scored: Scored | None = None,
) -> None:
    """Draws cards on the first two principal axes of their vectors, coloured by depth, width, operation and score.

    Args:
        cards: N cards.
        points: their vectors, shape `(N, dim)`, along principal axes.
        path: the picture.
        title: above it.
        scored: cards with scores, for the fourth panel.
    """
    figure = Figure(figsize=(10.4, 7.6), dpi=130, layout="constrained")
    points, scored = _on_a_plane(points), scored and replace(scored, vectors=_on_a_plane(scored.vectors))
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    dim, share = points.shape[1], np.square(points[:, :2]).sum() / np.square(points).sum()
    _by_kind(panels[0], points, "layers", [str(card.num_layers) for card in cards])
    _by_kind(panels[1], points, "hidden sizes", ["-".join(_widths(card)) for card in cards])
    _by_kind(panels[2], points, "most frequent operation", [_operation(card) for card in cards])
    if scored is not None:
        vectors, scores = scored.vectors, scored.scores
        panels[3].scatter(points[:, 0], points[:, 1], s=2, color="0.88", linewidths=0)
        order = np.argsort(scores)
        dots = panels[3].scatter(
            vectors[order, 0],
            vectors[order, 1],
            c=scores[order],
            vmin=np.percentile(scores, 2),
            s=9,
            cmap="viridis",
            linewidths=0,
        )
        figure.colorbar(dots, ax=panels[3], label=scored.what, shrink=0.8, extend="min")
        panels[3].set_title("cards that have been trained, by score", fontsize=10)
        figure.supxlabel(fill(scored.source, 150), fontsize=7, color="0.35")
    else:
        panels[3].set_axis_off()
    for axes in panels:
        axes.set_aspect("equal")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{title}: two of {dim} principal axes, {share:.0%} of the variance")
    save_figure(figure, path)


def draw_shepard(given: NDArray[np.float32], points: Vectors, path: Path, *, title: str, what: str) -> None:
    """Draws a Shepard diagram, distances of vectors against the distances they follow, for 200,000 random pairs."""
    i, j = np.random.default_rng(0).integers(len(points), size=(2, _PAIRS))
    i, j = i[i != j], j[i != j]
    distances, apart = given[i, j], np.linalg.norm(points[i] - points[j], axis=1)
    top = 1.02 * float(max(distances.max(), apart.max()))
    figure = Figure(figsize=(6.4, 5.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    cells = axes.hexbin(distances, apart, gridsize=70, extent=(0, top, 0, top), bins="log", cmap="Blues", linewidths=0)
    figure.colorbar(cells, ax=axes, label="pairs", shrink=0.8)
    axes.plot([0, top], [0, top], color=_COLOURS[1], linewidth=1)
    axes.set(title=title, xlabel=what, ylabel="Euclidean distance of vectors", xlim=(0, top), ylim=(0, top))
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def draw_knee(dimensions: Sequence[int], errors: Sequence[float], chosen: int, path: Path, *, title: str) -> None:
    """Draws the mean squared error against the number of dimensions, and the knee of the curve."""
    figure = Figure(figsize=(5.6, 3.8), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(dimensions, errors, color=_COLOURS[0], marker="o", markersize=4)
    axes.axvline(chosen, color="0.35", linestyle="--", linewidth=1)
    axes.text(chosen, 0.97 * max(errors), f" knee: {chosen}", fontsize=9, color="0.35", va="top")
    axes.set(title=title, xlabel="dimensions d", ylabel="mean squared error of distances", ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    save_figure(figure, path)


def _on_a_plane(points: Vectors) -> Vectors:
    """Points with a second coordinate, 0, if they have only one."""
    return np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))


def _by_kind(axes: Axes, points: Vectors, title: str, kinds: Sequence[str]) -> None:
    names = sorted(set(kinds))
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
    mixed = np.random.default_rng(0).permutation(len(points))  # or the last kind would cover the others
    axes.scatter(points[mixed, 0], points[mixed, 1], s=2, c=[colours[kinds[i]] for i in mixed], linewidths=0)
    for name in names:
        axes.scatter([], [], s=16, color=colours[name], label=name)
    axes.legend(frameon=False, fontsize=8, loc="best")
    axes.set_title(title, fontsize=10)


def _widths(card: ModelCard) -> list[str]:
    return [str(size) for size in sorted({layer.hidden for layer in card.layers})]


def _operation(card: ModelCard) -> str:
    counts = Counter(layer.operation for layer in card.layers).most_common()
    return "two as often" if len(counts) > 1 and counts[0][1] == counts[1][1] else counts[0][0]
