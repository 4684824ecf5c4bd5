"""The inner loops of both distances, for many pairs at once.

They are compiled when this module is imported, in about a second, so others import it where they use it. Code compiled
earlier is not read from disk: numba would have to trust what it finds there.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def compare(
    above_a: NDArray[np.int16], kinds_a: NDArray[np.int16], above_b: NDArray[np.int16], kinds_b: NDArray[np.int16]
) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    """Compares n cards of one shape with m cards of another (`Outline` has what the arguments are).

    Kind x of a card may go to kind y of another in a node-optimal map iff their indices are equal or, at all thresholds
    between them, the card with the higher index has more nodes above (`docs/ged.md`).

    Args:
        above_a: shape `(n, thresholds)`.
        kinds_a: shape `(n, kinds of a)`.
        above_b: shape `(m, thresholds)`.
        kinds_b: shape `(m, kinds of b)`.

    Returns:
        The node parts, shape `(n, m)`; and the tables of admissible kinds as bits of words, the lowest first, shape
        `(n, m, words)`: bit `x * (kinds of b) + y` for kinds x and y.
    """
    shape = len(above_a), len(above_b)
    nodes = np.zeros(shape, np.int32)
    words = np.zeros((*shape, -(-kinds_a.shape[1] * kinds_b.shape[1] // 64)), np.uint64)
    _compare(above_a, kinds_a, above_b, kinds_b, nodes, words)
    return nodes, words


@njit("void(i2[:,::1], i2[:,::1], i2[:,::1], i2[:,::1], i4[:,::1], u8[:,:,::1])", nogil=True)
def _compare(
    above_a: NDArray[np.int16],
    kinds_a: NDArray[np.int16],
    above_b: NDArray[np.int16],
    kinds_b: NDArray[np.int16],
    nodes: NDArray[np.int32],
    words: NDArray[np.uint64],
) -> None:
    thresholds = above_a.shape[1]
    more = np.zeros(thresholds + 1, np.int32)  # of a run of thresholds below t at which a has more above, the length
    less = np.zeros(thresholds + 1, np.int32)
    for i in range(len(above_a)):
        for j in range(len(above_b)):
            total = 0
            for t in range(thresholds):
                difference = above_a[i, t] - above_b[j, t]
                total += abs(difference)
                more[t + 1] = more[t] + 1 if difference > 0 else 0
                less[t + 1] = less[t] + 1 if difference < 0 else 0
            nodes[i, j] = total
            bit = 0
            for x in kinds_a[i]:
                for y in kinds_b[j]:
                    if x == y or (x > y and more[x] >= x - y) or (x < y and less[y] >= y - x):
                        words[i, j, bit // 64] |= np.uint64(1) << np.uint64(bit % 64)
                    bit += 1


@njit("void(i4[:,::1], i4[::1], i4[:,::1], i4[::1], f8[:,::1], f4[:,::1])", nogil=True)
def align_many(
    layers_a: NDArray[np.int32],
    depths_a: NDArray[np.int32],
    layers_b: NDArray[np.int32],
    depths_b: NDArray[np.int32],
    costs: NDArray[np.float64],
    distances: NDArray[np.float32],
) -> None:
    """Costs of the cheapest alignments of n cards with m others, by the dynamic program of `alignment.align`.

    Args:
        layers_a: number of each layer of each card among all different layers, shape `(n, deepest)`.
        depths_a: number of layers of each card, shape `(n,)`.
        layers_b: those of the others, shape `(m, deepest)`.
        depths_b: shape `(m,)`.
        costs: between layers, shape `(L + 1, L + 1)`; the last row and column stand for no layer.
        distances: where the result goes, shape `(n, m)`.
    """
    nothing = len(costs) - 1
    row = np.zeros(layers_b.shape[1] + 1)
    for i in range(len(layers_a)):
        for j in range(len(layers_b)):
            row[0] = 0.0
            for y in range(depths_b[j]):
                row[y + 1] = row[y] + costs[nothing, layers_b[j, y]]
            for x in range(depths_a[i]):
                here = layers_a[i, x]
                diagonal = row[0]
                row[0] += costs[here, nothing]
                for y in range(depths_b[j]):
                    there = layers_b[j, y]
                    best = min(diagonal + costs[here, there], row[y + 1] + costs[here, nothing])
                    diagonal = row[y + 1]
                    row[y + 1] = min(best, row[y] + costs[nothing, there])
            distances[i, j] = row[depths_b[j]]
