"""Predicted scores: what a card that nobody trained would probably score and cost."""

from flexnas_bench.surrogate.model import Mixture, Prediction, Surrogate
from flexnas_bench.surrogate.trained import Trained

__all__ = ["Mixture", "Prediction", "Surrogate", "Trained"]
