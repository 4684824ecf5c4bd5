"""Blocks as numbers: what inserting, deleting and substituting a node costs (section 3.3.1 and appendix B.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from flexnas_bench.errors import NotInSpaceError, OptionError, shown
from flexnas_bench.graph import BlockGraph, feed_forward_label
from flexnas_bench.layer import EncoderLayer
from flexnas_bench.space import Choices

EDGE_COST, MOST_EDGE_COST = 0.1, 10_000
INPUT, OUTPUT, ADD_NORM = 0, 1, 2
_FEED_FORWARD = 4
_OPERATIONS = ("LT", "SA", "DSC")  # by complexity


def check_edge_cost(edge_cost: float) -> None:
    """Raises `OptionError` for what no edge can cost."""
    if not 0 <= edge_cost <= MOST_EDGE_COST:
        raise OptionError(f"edge_cost: {shown(edge_cost)} is not a number from 0 to {MOST_EDGE_COST:,}")


@cache
def block_indices(choices: Choices) -> dict[str, int]:
    """Index of every block label of a space, sorted by complexity.

    Input 0, output 1, add_norm 2; then, each after one unused index, feed-forward by width, linear transforms,
    self-attention and convolutions, inside a group by hidden size and then by parameter.

    >>> indices = block_indices(Choices())
    >>> indices["feed_forward-512"], indices["h128/LT-DFT"], indices["h256/SA-WMA"], indices["h256/DSC-9"]
    (4, 7, 15, 20)
    """
    indices = {"input": INPUT, "output": OUTPUT, "add_norm": ADD_NORM}
    index = _FEED_FORWARD
    for width in sorted(choices.feed_forward):
        indices[feed_forward_label(width)] = index
        index += 1
    for operation in _OPERATIONS:
        index += 1
        parameters = [parameter for name, parameter in choices.operations if name == operation]
        for hidden in sorted(choices.hidden):
            for parameter in sorted(parameters, key=_complexity):
                indices[f"h{hidden}/{operation}-{parameter}"] = index
                index += 1
    return indices


def numbering(choices: Choices) -> Choices:
    """The choices by which the blocks of a space are numbered: the paper's if they suffice, its own otherwise."""
    paper = Choices()
    return paper if block_indices(choices).keys() <= block_indices(paper).keys() else choices


def block_index(label: str, choices: Choices) -> int:
    """Index of a block; raises `NotInSpaceError` for one that the choices do not have."""
    index = block_indices(choices).get(label)
    if index is None:
        raise NotInSpaceError(f"block {label} has no index among the choices given")
    return index


def _complexity(parameter: str | int) -> tuple[int, int]:
    """DFT before DCT, SDP before WMA, small kernels before large ones."""
    return (0, parameter) if isinstance(parameter, int) else (("DFT", "DCT", "SDP", "WMA").index(parameter), 0)


@dataclass(frozen=True)
class GroupGraph:
    """A block graph whose twins, the heads of a layer, are one node each.

    Attributes:
        indices: block index of each group.
        sizes: number of nodes of each group; 1 but for heads.
        edges: `(p, q)` for every pair of groups whose nodes are all joined; at least one of the two has size 1.
    """

    indices: tuple[int, ...]
    sizes: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, layers: Sequence[EncoderLayer], choices: Choices) -> GroupGraph:
        """The graph of an encoder; raises `NotInSpaceError` for a block that the choices do not have."""
        sizes = [1]
        for layer in layers:
            sizes += [layer.heads, *[1] * (len(layer.feed_forward) + 2)]
        graph = BlockGraph.of(layers)
        group = [p for p, size in enumerate((*sizes, 1)) for _ in range(size)]  # of each node, as `of` numbers them
        first = {p: node for node, p in reversed(list(enumerate(group)))}
        indices = tuple(block_index(graph.labels[first[p]], choices) for p in sorted(first))
        edges = dict.fromkeys((group[u], group[v]) for u, v in graph.edges)
        return cls(indices, (*sizes, 1), tuple(edges))

    @property
    def size(self) -> int:
        """Number of nodes."""
        return sum(self.sizes)

    @property
    def num_edges(self) -> int:
        """Number of edges between nodes."""
        return sum(self.sizes[p] * self.sizes[q] for p, q in self.edges)
