"""Examples of a task as tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flexnas_bench.training.batches import by_length, in_order, padded
from flexnas_bench.training.glue import Examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Encoded:
    """Tokens of examples, with their labels.

    Attributes:
        ids: of each example, with its marks.
        labels: as `Examples` has them.
    """

    ids: list[list[int]]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(one) for one in self.ids]

    def words(self) -> NDArray[np.int64]:
        """All tokens that occur, in order."""
        return np.unique(np.concatenate([np.unique(one) for one in self.ids])).astype(np.int64)

    def shuffled(self, size: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor, NDArray[Any]]]:
        """Batches for training: tokens and their mask, `batch x longest`, and labels, `batch`."""
        return map(self._batch, by_length(self.lengths, size, seed, epoch))

    def ordered(self, size: int) -> Iterator[tuple[Tensor, Tensor, NDArray[np.int64]]]:
        """Batches for a look at all examples: tokens, mask, and places of the examples."""
        return ((*padded([self.ids[i] for i in batch]), batch) for batch in in_order(self.lengths, size))

    def _batch(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, NDArray[Any]]:
        return *padded([self.ids[i] for i in chosen]), self.labels[chosen]


def encode(examples: Examples, tokenizer: PreTrainedTokenizerFast, length: int) -> Encoded:
    """Tokens of sentences, or of pairs, with the tokenizer's marks.

    Args:
        examples: of one or two columns.
        tokenizer: the one of the pre-training.
        length: most tokens; of a pair, the longer sentence is cut first.
    """
    found: Any = tokenizer(
        *examples.sentences, truncation=True, max_length=length, return_attention_mask=False, verbose=False
    )
    return Encoded(found["input_ids"], examples.labels)
