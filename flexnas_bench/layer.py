"""One encoder layer: the unit that cards, graphs, costs and spaces are made of (paper Table 2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flexnas_bench.errors import InvalidCardError

#: Named parameters of an operation. DSC has none: its parameter is an odd kernel size.
OPERATION_PARAMETERS: dict[str, tuple[str, ...]] = {"SA": ("SDP", "WMA"), "LT": ("DFT", "DCT"), "DSC": ()}


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
            raise InvalidCardError(f"field o: {self.operation!r} is not one of SA, LT, DSC")
        _check_parameter(self.operation, self.parameter)
        _check_sizes("h", [self.hidden])
        _check_sizes("n", [self.heads])
        if self.hidden % self.heads:
            raise InvalidCardError(f"field n: {self.heads} heads do not divide hidden size {self.hidden}")
        if not self.feed_forward:
            raise InvalidCardError("field f: a feed-forward stack needs at least one width")
        _check_sizes("f", self.feed_forward)

    @property
    def label(self) -> str:
        """Label of the layer's operation nodes, as in appendix B.1: `h128/SA-SDP`."""
        return f"h{self.hidden}/{self.operation}-{self.parameter}"


def _check_parameter(operation: str, parameter: object) -> None:
    if operation == "DSC":
        if type(parameter) is not int or parameter < 1 or parameter % 2 == 0:
            raise InvalidCardError(f"field p: {parameter!r} is not an odd kernel size, which DSC needs")
    elif parameter not in OPERATION_PARAMETERS[operation]:
        allowed = ", ".join(OPERATION_PARAMETERS[operation])
        raise InvalidCardError(f"field p: {parameter!r} is not one of {allowed}, which {operation} needs")


def _check_sizes(field: str, values: Iterable[object]) -> None:
    for value in values:
        if type(value) is not int or value < 1:
            raise InvalidCardError(f"field {field}: {value!r} is not a positive whole number")
