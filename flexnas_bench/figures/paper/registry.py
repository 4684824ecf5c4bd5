"""Which pictures a number of the paper stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flexnas_bench.benchmark import Benchmark
from flexnas_bench.figures.paper.block_graph import block_graph_figure
from flexnas_bench.figures.paper.crossover import crossover_figure
from flexnas_bench.figures.paper.family import family_figure
from flexnas_bench.figures.paper.frontier import frontier_figure
from flexnas_bench.figures.paper.plate import Plate
from flexnas_bench.figures.paper.searches import ablations_figure, methods_figure
from flexnas_bench.figures.paper.spaces import spaces_figure
from flexnas_bench.figures.paper.transfers import transfers_figure

_POOL, _G1 = "the 491 trained encoders", "predicted scores of G1"
#: By number, the names of files and who draws them.
FIGURES: dict[str, dict[str, Callable[[Benchmark], Plate]]] = {
    "2": {"figure-2": block_graph_figure},
    "3": {"figure-3": spaces_figure},
    "4": {
        "figure-4a-pool": partial(methods_figure, name="pool", what=f"Six methods on {_POOL}"),
        "figure-4a-g1": partial(methods_figure, name="g1", what=f"Six methods on {_G1}"),
        "figure-4b-pool": partial(ablations_figure, name="pool-ablations", what=f"BOSHNAS and less of it on {_POOL}"),
        "figure-4b-g1": partial(ablations_figure, name="g1-ablations", what=f"BOSHNAS and less of it on {_G1}"),
    },
    "5": {"figure-5": frontier_figure},
    "6": {"figure-6": family_figure},
    "7": {"figure-7": transfers_figure},
    "8": {"figure-8": crossover_figure},
}
