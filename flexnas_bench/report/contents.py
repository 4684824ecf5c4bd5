"""What a page shows, as values for its script: cards and where they lie, graphs, neighbours, scores, sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard, names_by_hash
from flexnas_bench.embedding.base import Embedding
from flexnas_bench.errors import NotInSpaceError, OptionError
from flexnas_bench.figures.layout import lay_out
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.processes import Progress
from flexnas_bench.report.scores import score_tables, scored_cards, transferred_scores
from flexnas_bench.space import ListSpace

#: Cards of a space that a page has room for, and that a map needs.
LIMIT, FEWEST = 20_000, 3
_NEIGHBORS, _NEAREST, _STEPS = 24, 10, 4


def contents(
    bench: Benchmark, embedding: Embedding, shipped: bool = True, progress: Progress | None = None
) -> dict[str, Any]:
    """Everything that a page shows of a space, but for its searches.

    Args:
        bench: whose scores are shown.
        embedding: vectors over the space; their first two principal axes are the map.
        shipped: whether `bench` has the shipped tables alone.
        progress: told of the work as it goes.

    Raises:
        OptionError: the space has more than 20,000 cards, or fewer than three.
        NotInSpaceError: the embedding cannot describe a card of the space.
    """
    space = embedding.space
    if space.size > LIMIT:
        raise OptionError(
            f"space {space.name} has {space.size:,} cards, and a page room for {LIMIT:,}; take a part of it, "
            "such as a list of cards (.jsonl)"
        )
    if space.size < FEWEST:
        raise OptionError(f"space {space.name} has {space.size} cards, too few for a map")
    done = partial(_tell, progress)
    done(0)
    cards = list(space)
    others = _described(embedding, [card for card in scored_cards(bench) if card not in space])
    done(1)
    points, share = _map(embedding, others)
    done(2)
    neighbors = [[space.index(other) for other in space.neighbors(card)[:_NEIGHBORS]] for card in cards]
    neighbors += _nearest(embedding, others)
    done(3)
    scores = score_tables(bench, [*cards, *others], space.size, shipped)
    transferred = transferred_scores(bench, [*cards, *others])
    texts = {row[-2] for row in transferred}.union(*map(_sources, scores))
    keys = {key for text in texts for key in text.split(", ")}
    done(_STEPS)
    return {
        "version": version("flexnas-bench"),
        "space": {"name": space.name, "size": space.size, "listed": isinstance(space, ListSpace)},
        "map": {"embedding": embedding.name, "share": round(share, 4)},
        **_cards([*cards, *others]),
        "x": points[:, 0].tolist(),
        "y": points[:, 1].tolist(),
        "neighbors": neighbors,
        "scores": scores,
        "transferred": transferred,
        "sources": {key: bench.sources[key] for key in sorted(keys)},
    }


def _tell(progress: Progress | None, done: int) -> None:
    if progress is not None:
        progress("report", done, _STEPS)


def _described(embedding: Embedding, cards: list[ModelCard]) -> list[ModelCard]:
    """Those of cards outside the space that have a vector."""
    try:
        embedding.vectors(cards)
    except NotInSpaceError:
        if len(cards) < 2:
            return []
        middle = len(cards) // 2  # so that all are asked of at once where all have one
        return [*_described(embedding, cards[:middle]), *_described(embedding, cards[middle:])]
    return cards


def _nearest(embedding: Embedding, others: Sequence[ModelCard]) -> list[list[int]]:
    """Indices of the ten cards of the space nearest to each of others, or of all if it has fewer."""
    count = min(_NEAREST, embedding.space.size)
    points = embedding.vectors(others) if others else ()
    return [embedding.nearest(point, count).tolist() for point in points]


def _map(embedding: Embedding, others: Sequence[ModelCard]) -> tuple[np.ndarray[Any, Any], float]:
    """Places of the cards of the space and of others along two axes, and the share of the variance these have."""
    axes = PCA(n_components=min(2, embedding.dim), svd_solver="full")
    with np.errstate(invalid="ignore"):  # all cards in one place have no variance to share
        points = axes.fit_transform(embedding.matrix)
    if others:
        points = np.vstack([points, axes.transform(embedding.vectors(others))])
    flat = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    return np.round(flat.astype(np.float64), 3), float(np.nansum(axes.explained_variance_ratio_))


def _cards(cards: Sequence[ModelCard]) -> dict[str, Any]:
    """Cards as positions of their layers among all different layers, and what is computed of them."""
    layers = {layer: i for i, layer in enumerate(dict.fromkeys(layer for card in cards for layer in card.layers))}
    names = {i: names_by_hash().get(card.hash) for i, card in enumerate(cards)}
    return {
        "layers": [_layer(layer) for layer in layers],
        "cards": [[layers[layer] for layer in card.layers] for card in cards],
        "hashes": [card.hash for card in cards],
        "parameters": [card.parameters for card in cards],
        "flops": [card.flops() for card in cards],
        "names": {i: name for i, name in names.items() if name},
    }


def _layer(layer: EncoderLayer) -> dict[str, Any]:
    """A layer, and its part of the drawing of a block graph: no input, no output, no edge to that."""
    drawing = lay_out([layer])
    (frame,) = drawing.frames
    return {
        "o": layer.operation,
        "p": layer.parameter,
        "h": layer.hidden,
        "n": layer.heads,
        "f": list(layer.feed_forward),
        "nodes": [asdict(node) for node in drawing.nodes[1:-1]],
        "edges": drawing.edges[:-1],
        "height": frame.height,
        "title": frame.title.partition(": ")[2],
    }


def _sources(table: dict[str, Any]) -> set[str]:
    """The sources of a table of scores, several keys in a text."""
    return {row[-1] for row in table["real"]} | ({table["predicted"]["source"]} if table["predicted"] else set())
