"""Figure 2: the block-level computational graph of BERT-Tiny."""

from __future__ import annotations

import pandas as pd

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.card import ModelCard
from flexnas_bench.figures.architecture import architecture_figure
from flexnas_bench.figures.paper.plate import Plate
from flexnas_bench.graph import BlockGraph

CARD = "bert-tiny"


def block_graph_figure(bench: Benchmark) -> Plate:  # noqa: ARG001 - of all figures
    """The graph whose edit distances tell cards apart; its edges are the data."""
    card = ModelCard.named(CARD)
    graph = BlockGraph.of(card.layers)
    rows = [{"from": u, "to": v, "from_block": graph.labels[u], "to_block": graph.labels[v]} for u, v in graph.edges]
    caption = (
        f"Block graph of {CARD} (section 3.2.1), drawn from its card; projections, which are no nodes, are dashed."
    )
    return Plate(architecture_figure(card), pd.DataFrame(rows), caption, below=False)
