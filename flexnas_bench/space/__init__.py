"""Design spaces: indexed sets of cards that are never written out (paper sections 3.1, 3.2.2 and B.3)."""

from flexnas_bench.space.base import DesignSpace
from flexnas_bench.space.choices import Choices
from flexnas_bench.space.climbing import climb
from flexnas_bench.space.decisions import Decisions
from flexnas_bench.space.grid import GridSpace
from flexnas_bench.space.listed import ListSpace
from flexnas_bench.space.loading import SPACE_NAMES, load_space

__all__ = ["SPACE_NAMES", "Choices", "Decisions", "DesignSpace", "GridSpace", "ListSpace", "climb", "load_space"]
