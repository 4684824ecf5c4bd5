"""Random search: every card equally likely, none twice.

The shortest optimizer there is, and so the tutorial for writing one's own:

1. Subclass `Optimizer` and write `propose`. It returns indices of cards that nobody has seen: `space[i]` is the
   card of index i, `self.indices` and `self.values` are the history told so far, `self.embedding` has vectors.
2. Draw random numbers from `rng` only. It is made afresh for each call, so a resumed search goes on as before.
3. Options of your own are keyword-only arguments with a default:
   `def __init__(self, space, *, temperature=1.0, **common)`, passing `**common` on to `super().__init__`.
4. Name the class as an entry point of the group `flexnas_bench.optimizers` in your `pyproject.toml`:

       [project.entry-points."flexnas_bench.optimizers"]
       mine = "my_package.my_module:MyOptimizer"

   and `flexnas-bench run --optimizer mine` finds it. From Python, pass the class itself to `search`.
"""

from collections.abc import Sequence

import numpy as np

from flexnas_bench import Optimizer


class RandomSearch(Optimizer):
    """Draws unseen cards uniformly, whatever it was told.

    >>> from flexnas_bench import load_space
    >>> optimizer = RandomSearch(load_space("g3"), seed=1)
    >>> cards = optimizer.ask(2)
    >>> optimizer.tell(cards, [70.1, 68.4])
    """

    def propose(self, n: int, rng: np.random.Generator) -> Sequence[int]:
        """Up to `n` unseen indices, drawn uniformly."""
        return self.draw_unseen(n, rng)
