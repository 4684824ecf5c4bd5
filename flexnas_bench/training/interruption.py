"""Ctrl-C that waits for a good moment, and a second one that does not."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interruption:
    """The signal that came, if one did."""

    asked: int = 0

    def give_way(self) -> None:
        """Raises `KeyboardInterrupt` after Ctrl-C and `SystemExit` after a polite kill; does nothing otherwise."""
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        if self.asked:
            sys.exit(128 + self.asked)


@contextmanager
def postponed() -> Iterator[Interruption]:
    """Notes the first Ctrl-C or polite kill, for the block to give way at a moment that suits it.

    Ctrl-C after either ends it at once; a second polite kill does not, as a process may get one from its parent and one
    from who ends them all. Only the main thread of a process is told of signals; in others nothing changes.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            interruption.give_way()  # to an earlier one
        interruption.asked = interruption.asked or number

    before = [signal.signal(number, note) for number in SIGNALS]
    try:
        yield interruption
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
