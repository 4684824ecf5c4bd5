"""Predicted scores: what a card that nobody trained would probably score and cost."""

from flexnas_bench.surrogate.curves import CurveSurrogate
from flexnas_bench.surrogate.model import Mixture, Surrogate
from flexnas_bench.surrogate.predictor import Prediction, Predictor
from flexnas_bench.surrogate.trained import Trained

__all__ = ["CurveSurrogate", "Mixture", "Prediction", "Predictor", "Surrogate", "Trained"]
