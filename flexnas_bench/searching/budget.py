"""How long a search may go on: in evaluations, or in simulated time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from flexnas_bench.errors import OptionError, shown

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIME = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


@dataclass(frozen=True)
class Budget:
    """A number of evaluations, or simulated seconds of training; the other one is infinite.

    Simulated time is that of the workers, each training one card after the other for its `cost_seconds`. An evaluation
    that would end after the budget is not part of the search.

    >>> Budget.read("60"), Budget.read("1.5h").seconds
    (Budget(evaluations=60, seconds=inf), 5400.0)
    """

    evaluations: float = math.inf
    seconds: float = math.inf

    @classmethod
    def read(cls, text: int | str) -> Budget:
        """A budget of a number of evaluations, or of a time such as `"90s"`, `"45m"`, `"12h"` or `"2d"`.

        Raises:
            OptionError: the text is neither, or zero.
        """
        stripped = str(text).strip().lower()
        time = _TIME.fullmatch(stripped)
        count = int(stripped) if stripped.isdecimal() and len(stripped) < 16 else 0
        if isinstance(text, bool) or not (count or (time and float(time[1]) > 0)):
            raise OptionError(
                f"budget: {shown(text)} is neither a number of evaluations, 1 or more, nor a time such as 12h"
            )
        return cls(seconds=float(time[1]) * _UNITS[time[2]]) if time else cls(evaluations=count)

    def share(self, part: float) -> Budget:
        """The first part of a budget, a fraction of it."""
        evaluations = self.evaluations if math.isinf(self.evaluations) else round(self.evaluations * part)
        return Budget(evaluations, self.seconds * part)
