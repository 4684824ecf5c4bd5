"""Predicted scores: what a card that nobody trained would probably score and cost."""

from flexnas_bench.surrogate.provisional import Surrogate, leave_one_out

__all__ = ["Surrogate", "leave_one_out"]
