"""Reproducible use of torch without touching what the caller has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seeds torch and keeps it to one thread inside the block; restores both afterwards.

    One thread because sums split over threads round differently, and a search must not depend on how many cores
    its machine has.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
