"""Block-level computational graphs and their hash (paper section 3.2.1 and Figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import networkx as nx

    from flexnas_bench.layer import EncoderLayer


def feed_forward_label(width: int) -> str:
    """Label of a feed-forward block."""
    return f"feed_forward-{width}"


@dataclass(frozen=True)
class BlockGraph:
    """A labelled directed acyclic graph: `labels[v]` of node v, and edges `(u, v)` from u to v."""

    labels: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, layers: Sequence[EncoderLayer]) -> BlockGraph:
        """The graph of an encoder (Figure 2).

        Input, then per layer its heads, add_norm, the feed-forward chain and add_norm, with a residual edge
        around each half, and output at the end. There is no projection node: whether one is needed follows
        from the labels.
        """
        labels = ["input"]
        edges: list[tuple[int, int]] = []
        last = 0
        for layer in layers:
            heads = range(len(labels), len(labels) + layer.heads)
            middle = heads.stop
            end = middle + len(layer.feed_forward) + 1
            labels += [layer.label] * layer.heads + ["add_norm"]
            labels += [*map(feed_forward_label, layer.feed_forward), "add_norm"]
            for head in heads:
                edges += [(last, head), (head, middle)]
            edges += [(last, middle), (middle, end)]
            edges += [(node, node + 1) for node in range(middle, end)]
            last = end
        return cls((*labels, "output"), (*edges, (last, last + 1)))

    @property
    def hash(self) -> str:
        """SHA-256 of the graph as 64 hex digits, the same under any numbering of the nodes.

        In the manner of NAS-Bench-101 (Ying et al. 2019): a node starts from its label and degrees and
        then takes in its neighbours, once forward and once backward in topological order, so that it
        ends up knowing all that leads to it and all that follows.
        """
        sources, targets = self._neighbours()
        order = self._topological_order(sources, targets)
        digests = [
            sha256(f"{label}|{len(sources[v])}|{len(targets[v])}".encode()).digest()
            for v, label in enumerate(self.labels)
        ]
        for sweep, neighbours in ((order, sources), (reversed(order), targets)):
            for v in sweep:
                around = b"".join(sorted(digests[u] for u in neighbours[v]))
                digests[v] = sha256(digests[v] + around).digest()
        return sha256(b"".join(sorted(digests))).hexdigest()

    def to_networkx(self) -> nx.DiGraph:
        """The graph as `networkx.DiGraph`, each node with an attribute `label`."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from((v, {"label": label}) for v, label in enumerate(self.labels))
        graph.add_edges_from(self.edges)
        return graph

    def _neighbours(self) -> tuple[list[list[int]], list[list[int]]]:
        sources: list[list[int]] = [[] for _ in self.labels]
        targets: list[list[int]] = [[] for _ in self.labels]
        for u, v in self.edges:
            sources[v].append(u)
            targets[u].append(v)
        return sources, targets

    def _topological_order(self, sources: list[list[int]], targets: list[list[int]]) -> Sequence[int]:
        if all(u < v for u, v in self.edges):  # as numbered by `of`
            return range(len(self.labels))
        waiting = [len(before) for before in sources]
        order = [v for v, count in enumerate(waiting) if count == 0]
        for v in order:  # grows while it is read (Kahn 1962)
            for w in targets[v]:
                waiting[w] -= 1
                if waiting[w] == 0:
                    order.append(w)
        if len(order) < len(self.labels):
            raise ValueError("the graph has a cycle")
        return order
