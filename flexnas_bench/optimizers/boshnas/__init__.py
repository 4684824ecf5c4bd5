"""BOSHNAS and its parts: the surrogate of three networks and the second-order climb."""

from flexnas_bench.optimizers.boshnas.boshnas import Boshnas

__all__ = ["Boshnas"]
