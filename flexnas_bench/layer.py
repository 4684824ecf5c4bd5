"""One encoder layer: the unit that cards, graphs, costs and spaces are made of (paper Table 2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flexnas_bench.errors import InvalidCardError, shown

#: Named parameters of an operation. DSC has none: its parameter is an odd kernel size.
OPERATION_PARAMETERS: dict[str, tuple[str, ...]] = {"SA": ("SDP", "WMA"), "LT": ("DFT", "DCT"), "DSC": ()}
#: Bounds of a card, so that a slip of the pen is refused before it fills the memory.
MAX_SIZE, MAX_HEADS, MAX_STACK, MAX_LAYERS = 2**20, 1024, 256, 1024
_SHORT_FORMS = {"L": "LT", "C": "DSC"}


@dataclass(frozen=True, slots=True)
class EncoderLayer:
    """An encoder layer, validated when made.

    Attributes:
        operation: `"SA"`, `"LT"` or `"DSC"`.
        parameter: `"SDP"` or `"WMA"` for SA, `"DFT"` or `"DCT"` for LT, an odd kernel size for DSC.
        hidden: hidden size h, divisible by `heads`.
        heads: number of operation heads n.
        feed_forward: hidden widths of the feed-forward stack, in order.

    Raises:
        InvalidCardError: naming the field (`o`, `p`, `h`, `n` or `f`) at fault.
    """

    operation: str
    parameter: str | int
    hidden: int
    heads: int
    feed_forward: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.operation not in OPERATION_PARAMETERS:
            raise InvalidCardError(f"field o: {shown(self.operation)} is not one of SA, LT, DSC")
        _check_parameter(self.operation, self.parameter)
        _check_sizes("h", [self.hidden])
        _check_sizes("n", [self.heads], MAX_HEADS)
        if self.hidden % self.heads:
            raise InvalidCardError(f"field n: {self.heads} heads do not divide hidden size {self.hidden}")
        if not self.feed_forward:
            raise InvalidCardError("field f: a feed-forward stack needs at least one width")
        if len(self.feed_forward) > MAX_STACK:
            raise InvalidCardError(f"field f: {len(self.feed_forward)} widths in a stack are more than {MAX_STACK}")
        _check_sizes("f", self.feed_forward)

    @classmethod
    def read(cls, operation: Any, hidden: Any, heads: Any, feed_forward: Any, parameter: Any) -> EncoderLayer:
        """A layer of values as people write them: any case, `l` and `c` for LT and DSC, kernel sizes as text.

        Raises:
            InvalidCardError: naming the field at fault.
        """
        if not isinstance(operation, str):
            raise InvalidCardError(f"field o: {shown(operation)} is not one of SA, LT, DSC")
        if not isinstance(feed_forward, list | tuple):
            raise InvalidCardError(f"field f: {shown(feed_forward)} is not a list of widths")
        if isinstance(parameter, str):
            parameter = int(parameter) if parameter.isdecimal() and len(parameter) < 9 else parameter.upper()
        elif type(parameter) is not int:
            raise InvalidCardError(f"field p: {shown(parameter)} is neither a name nor a kernel size")
        operation = operation.upper()
        return cls(_SHORT_FORMS.get(operation, operation), parameter, hidden, heads, tuple(feed_forward))

    @property
    def label(self) -> str:
        """Label of the layer's operation nodes, as in appendix B.1: `h128/SA-SDP`."""
        return f"h{self.hidden}/{self.operation}-{self.parameter}"


def _check_parameter(operation: str, parameter: object) -> None:
    if operation == "DSC":
        if type(parameter) is not int or not 1 <= parameter <= MAX_SIZE or parameter % 2 == 0:
            raise InvalidCardError(f"field p: {shown(parameter)} is not an odd kernel size, which DSC needs")
    elif parameter not in OPERATION_PARAMETERS[operation]:
        allowed = ", ".join(OPERATION_PARAMETERS[operation])
        raise InvalidCardError(f"field p: {shown(parameter)} is not one of {allowed}, which {operation} needs")


def _check_sizes(field: str, values: Iterable[object], most: int = MAX_SIZE) -> None:
    for value in values:
        if type(value) is not int or value < 1:
            raise InvalidCardError(f"field {field}: {shown(value)} is not a positive whole number")
        if value > most:
            raise InvalidCardError(f"field {field}: {shown(value)} is more than {most:,}")
