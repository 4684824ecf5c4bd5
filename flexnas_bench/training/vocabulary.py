"""Word embeddings of a task alone: most of the 50,265 never occur in it, and AdamW would go through all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flexnas_bench.modeling import FlexiBertForSequenceClassification


class TaskVocabulary:
    """While a model is trained, its word embeddings are those of a few words; the others stay as they are.

    Args:
        model: to train; until `whole`, its embeddings know these words only, by their places.
        words: tokens that the training set has, in order.
    """

    def __init__(self, model: FlexiBertForSequenceClassification, words: NDArray[np.int64]) -> None:
        self._model, whole = model, model.get_input_embeddings()
        assert isinstance(whole, nn.Embedding)  # noqa: S101 - for the type checker
        self._whole, self._words = whole, torch.from_numpy(words).to(whole.weight.device)
        self._place = torch.zeros(whole.num_embeddings, dtype=torch.long, device=whole.weight.device)
        self._place[self._words] = torch.arange(len(words), device=whole.weight.device)
        padding = np.flatnonzero(words == whole.padding_idx)
        self._some = nn.Embedding.from_pretrained(
            whole.weight.detach()[self._words], freeze=False, padding_idx=int(padding[0]) if len(padding) else None
        )
        model.set_input_embeddings(self._some)

    def places(self, ids: Tensor) -> Tensor:
        """Tokens as the embeddings under training know them; padding, which may be none of the words, is any."""
        return self._place[ids]

    @property
    def all_words(self) -> nn.Embedding:
        """Embeddings of all words, as far as they were trained when `whole` was last entered."""
        return self._whole

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The model with all its words, as far as it is trained."""
        with torch.no_grad():
            self._whole.weight[self._words] = self._some.weight
        self._model.set_input_embeddings(self._whole)
        try:
            yield
        finally:
            self._model.set_input_embeddings(self._some)
