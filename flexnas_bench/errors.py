"""The one error family: every mistake a user can make ends in a `FlexnasError` with one clear line."""


def shown(value: object) -> str:
    """A value as an error's text shows it: on one line, and short."""
    try:
        return f"{value!r:.80}"
    except (ValueError, RecursionError):  # a number of more than 4,300 digits, a list that goes too deep
        return f"a huge {type(value).__name__}"


def first_line(error: BaseException) -> str:
    """What somebody else's error says, on one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class FlexnasError(Exception):
    """Base of all errors raised on purpose by flexnas-bench; its text is one line for the user."""


class InvalidCardError(FlexnasError, ValueError):
    """A model card is malformed; the text names the field at fault."""


class NotInSpaceError(FlexnasError, LookupError):
    """A well-formed card, or a name, lies outside what was asked."""


class InvalidSpaceError(FlexnasError, ValueError):
    """The description of a design space makes no sense; the text names the entry at fault."""


class SpaceIndexError(NotInSpaceError, IndexError):
    """A design space has no card of that index."""


class GedNotExact(FlexnasError):  # noqa: N818 - the name is part of the public contract
    """A distance could not be found exactly in the time given; the text has the bounds that were."""


class NotMeasuredError(FlexnasError, LookupError):
    """The benchmark has no such score; the text says what it does have for the card."""


class TableCorruptError(FlexnasError, OSError):
    """A table is missing, truncated, altered, or has a foreign schema."""


class SpaceExhaustedError(FlexnasError):
    """An optimizer was asked for more cards than its space still holds."""


class ProposalError(FlexnasError):
    """An optimizer proposed what it must not: nothing, a card twice, or one that is not in the space."""


class OptionError(FlexnasError, ValueError):
    """An option, a name or a setting that means nothing here."""


class OptimizerFailedError(FlexnasError):
    """An optimizer raised something in a worker process; the text says what, and where."""


class WorkerDiedError(FlexnasError):
    """A worker process was killed; what it had finished is in its journal.

    Args:
        text: for the user.
        code: exit code of the process, or the number of the signal that killed it, negative; None if not known.
    """

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class RunMismatchError(FlexnasError):
    """An output folder belongs to another run, or to something else altogether."""


class BusyError(FlexnasError):
    """Another process is writing there, and went on doing so for longer than one waits."""


class ResultConflictError(FlexnasError):
    """A store already has another value for what it was told."""


class WeightsError(FlexnasError, OSError):
    """The folder of a model lacks weights, has damaged ones, or those of another model."""


class TransferRefusedError(FlexnasError):
    """A trained neighbour has too little in common with a card to give it weights."""


class DataError(FlexnasError, OSError):
    """Text or a task to train on is missing, damaged, or not what it should be; the text names the file."""
