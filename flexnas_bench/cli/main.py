"""The commands together, and the one place where errors become exit codes."""

from __future__ import annotations

import sys

import typer

from flexnas_bench.cli.importing import import_app
from flexnas_bench.cli.lookup import info, optimizers, query
from flexnas_bench.cli.output import say_error
from flexnas_bench.cli.run import run
from flexnas_bench.errors import FlexnasError

#: The base of typer's own usage errors. Older releases take it from click, newer ones bring it along.
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="flexnas-bench",
    help="A tabular NAS benchmark for the FlexiBERT space of heterogeneous transformer encoders.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(query)
app.command()(info)
app.command()(optimizers)
app.add_typer(import_app, name="import")


def main() -> None:
    """Entry point: exit code 0 for success, 2 with one line for a user's mistake, 130 for Ctrl-C."""
    sys.exit(run_app(sys.argv[1:]))


def run_app(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    try:
        app(arguments or ["--help"], standalone_mode=False)
    except FlexnasError as error:
        say_error(f"Error: {error}")
    except _UsageError as error:
        say_error(f"Error: {error.format_message()}")  # type: ignore[attr-defined]  # click's, see above
    except OSError as error:
        say_error(f"Error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    except (KeyboardInterrupt, typer.Abort):
        say_error("Interrupted. What was finished is kept; the same command goes on from there.")
        return 130
    else:
        return 0
    return 2
