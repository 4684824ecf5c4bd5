"""Batches for pre-training and fine-tuning.

Each is a function of a seed and of its number, so that a training that was interrupted goes on with the very batches
that it would have had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexnas_bench.errors import DataError
from flexnas_bench.training.corpus import Corpus

#: Marks of RoBERTa's vocabulary.
START, PADDING, END, MASK, IGNORED = 0, 1, 2, 50_264, -100


@dataclass(frozen=True)
class MaskedBatches:
    """Blocks of a corpus with tokens masked anew each time they come (Liu et al. 2019; appendix B.5).

    Of the tokens, a share `masked` is to be told: 80 % of these are replaced by the mask, 10 % by a random token, and
    10 % are left.

    Args:
        corpus: tokens.
        length: of a block, with the marks of its beginning and its end.
        size: blocks a batch.
        seed: of the order and of the masks.
        vocabulary: number of tokens.
        masked: share of tokens to be told.

    Raises:
        DataError: the corpus is shorter than a batch.
    """

    corpus: Corpus
    length: int
    size: int
    seed: int
    vocabulary: int
    masked: float = 0.15

    def __post_init__(self) -> None:
        if self.blocks < self.size:
            raise DataError(f"the corpus has {len(self.corpus):,} tokens, fewer than a batch of {self.size} needs")

    @property
    def blocks(self) -> int:
        """Number of whole blocks in the corpus."""
        return len(self.corpus) // (self.length - 2)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Tokens and labels of a batch, `size x length` each; labels are -100 where nothing is to be told."""
        ids = np.full((self.size, self.length), START)
        ids[:, -1] = END
        for row in range(self.size):
            ids[row, 1:-1] = self.corpus.read(
                self._block(number * self.size + row) * (self.length - 2), self.length - 2
            )
        return self._mask(ids, np.random.default_rng([self.seed, 1, number]))

    def _block(self, place: int) -> int:
        """The block at a place of the order, which is another in every round."""
        turn, place = divmod(place, self.blocks)
        return int(_order(self.seed, turn, self.blocks)[place])

    def _mask(self, ids: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        told = (rng.random(ids.shape) < self.masked) & (ids > END)
        how = rng.random(ids.shape)
        shown = np.where(told & (how < 0.8), MASK, ids)
        random = rng.integers(END + 1, self.vocabulary - 1, ids.shape)
        shown = np.where(told & (how >= 0.9), random, shown)
        return torch.from_numpy(shown), torch.from_numpy(np.where(told, ids, IGNORED))


@lru_cache(maxsize=2)
def _order(seed: int, turn: int, blocks: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 0, turn]).permutation(blocks)


def step_seed(seed: int, step: int) -> int:
    """A seed for what is random in a step beside its batch: dropout."""
    return int(np.random.SeedSequence([seed, 3, step]).generate_state(1, np.uint64)[0])


def by_length(lengths: Sequence[int], size: int, seed: int, turn: int, pool: int = 32) -> list[NDArray[np.int64]]:
    """Batches of examples of about the same length, in random order: indices of each.

    Examples are shuffled, sorted by length within pools of `pool` batches, and cut into batches, which are shuffled.

    Args:
        lengths: tokens of each example.
        size: examples a batch; the last of all may have fewer.
        seed: of the order.
        turn: number of the epoch, which has an order of its own.
        pool: batches that are sorted together; more of them waste less on padding, and mix less.
    """
    rng = np.random.default_rng([seed, 2, turn])
    shuffled = rng.permutation(len(lengths))
    batches = []
    for start in range(0, len(shuffled), pool * size):
        part = shuffled[start : start + pool * size]
        part = part[np.argsort(np.asarray(lengths)[part], kind="stable")]
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def in_order(lengths: Sequence[int], size: int) -> Iterator[NDArray[np.int64]]:
    """Batches for a look at all examples, by length, so that little is padded."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    return (order[i : i + size] for i in range(0, len(order), size))


def padded(sentences: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token lists as one array, `batch x longest`, and its attention mask."""
    longest = max(map(len, sentences))
    ids = torch.full((len(sentences), longest), PADDING)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = torch.as_tensor(sentence)
    return ids, (ids != PADDING).long()
