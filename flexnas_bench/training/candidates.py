"""A few words in place of the vocabulary, chosen so that sums over it stay right on average."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexnas_bench.training.corpus import Corpus


@dataclass(frozen=True)
class Candidates:
    """Words to compare those with that are to be told: these themselves, and others drawn evenly.

    Softmax divides by a sum over the vocabulary. A word that is among the candidates with probability pi counts 1 / pi
    times in the sum over them (Horvitz and Thompson 1952), and the word to be told, which always is, once. So the sum
    is right on average, whatever it is of. Jean et al. (2015) did so for translation.

    Attributes:
        shares: of each word in the corpus, `vocabulary`.
        count: of words that are drawn.
        seed: of the draw.
    """

    shares: NDArray[np.float64]
    count: int
    seed: int

    @classmethod
    def of(cls, corpus: Corpus, vocabulary: int, count: int, seed: int) -> Candidates:
        """Candidates for masked tokens of a corpus."""
        counts = np.sum([np.bincount(shard, minlength=vocabulary) for shard in corpus.shards], axis=0)
        return cls((counts + 1) / (len(corpus) + vocabulary), count, seed)

    def draw(self, step: int, told: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates of a step.

        Args:
            step: number.
            told: `n` words to be told.

        Returns:
            The words, `m`, in order; the logarithms of their probabilities to be among them, `m`; the places of those
            to be told, `n`.
        """
        rng = np.random.default_rng([self.seed, 4, step])
        drawn = rng.choice(len(self.shares), self.count, replace=False)
        words, places = np.unique(np.concatenate([told.cpu().numpy(), drawn]), return_inverse=True)
        missed = (1 - self.shares[words]) ** len(told) * (1 - self.count / len(self.shares))
        logs = torch.from_numpy(np.log1p(-missed)).float()
        return (
            torch.from_numpy(words).to(told.device),
            logs.to(told.device),
            torch.from_numpy(places[: len(told)]).to(told.device),
        )
