"""Trained neighbours whose weights a card may start from (section 3.3.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flexnas_bench.card import ModelCard
from flexnas_bench.distance.overlap import THRESHOLD, overlap_fraction
from flexnas_bench.embedding.base import Embedding
from flexnas_bench.errors import InvalidCardError, NotInSpaceError, WeightsError
from flexnas_bench.modeling.folder import read_config
from flexnas_bench.results import SCRATCH

#: What a folder of pre-trained weights says of them.
FACTS = "pretraining.json"


@dataclass(frozen=True)
class Donor:
    """A pre-trained model in a folder.

    Attributes:
        folder: with the weights.
        card: of the model.
        facts: of its pre-training.
    """

    folder: Path
    card: ModelCard
    facts: dict[str, Any]


def find_donors(places: Iterable[Path], recipe: str) -> list[Donor]:
    """Models in folders, at any depth, that were pre-trained from scratch by a recipe, whose digest is given."""
    found = []
    for path in sorted({path for place in places for path in place.rglob(FACTS)}):
        try:
            facts = json.loads(path.read_bytes())
            trained = facts["steps"] > 0 and not facts["why"]
            if trained and facts["recipe"] == recipe and facts["init"] == SCRATCH:
                found.append(Donor(path.parent, read_config(path.parent).model_card, facts))
        except (OSError, ValueError, KeyError, TypeError, WeightsError, InvalidCardError):
            continue  # not, or not yet, a trained model
    return found


def nearest_donor(
    card: ModelCard, donors: Sequence[Donor], embedding: Embedding, threshold: float = THRESHOLD
) -> Donor | None:
    """The donor with the most layers in common with a card, at or over the threshold; of several the nearest.

    Args:
        card: that wants weights.
        donors: candidates.
        embedding: whose distances decide between equal overlaps, as far as it can describe the cards.
        threshold: smallest overlap fraction.
    """
    near = [donor for donor in donors if overlap_fraction(card, donor.card) >= threshold - 1e-9]
    return min(
        near,
        key=lambda one: (-overlap_fraction(card, one.card), _distance(embedding, card, one.card), one.card.hash),
        default=None,
    )


def _distance(embedding: Embedding, one: ModelCard, other: ModelCard) -> float:
    try:
        vectors = embedding.vectors([one, other])
    except NotInSpaceError:
        return 0.0 if one == other else float("inf")
    return float(np.linalg.norm(vectors[0] - vectors[1]))
