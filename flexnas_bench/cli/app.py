"""The commands together, and the one place where errors become exit codes."""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from flexnas_bench.cli import INTERRUPTED
from flexnas_bench.cli.checking import compact, verify
from flexnas_bench.cli.compare import compare
from flexnas_bench.cli.distances import embed, ged
from flexnas_bench.cli.exporting import export
from flexnas_bench.cli.figures import figures, tables
from flexnas_bench.cli.filling import fill
from flexnas_bench.cli.importing import import_app
from flexnas_bench.cli.info import info
from flexnas_bench.cli.lookup import optimizers, query
from flexnas_bench.cli.output import say, say_error
from flexnas_bench.cli.reporting import report
from flexnas_bench.cli.run import run
from flexnas_bench.cli.surrogates import surrogate_app
from flexnas_bench.cli.training import train
from flexnas_bench.errors import FlexnasError

#: The base of typer's own usage errors. Older releases take it from click, newer ones bring it along.
_UsageError: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"flexnas-bench {version('flexnas-bench')}")
        raise typer.Exit


app = typer.Typer(
    name="flexnas-bench",
    help="A tabular NAS benchmark for the FlexiBERT space of heterogeneous transformer encoders.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback()
def _group(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A tabular NAS benchmark for the FlexiBERT space of heterogeneous transformer encoders."""


for _command, _example in (
    (run, "run --optimizer boshnas --space pool --task glue8 --budget 60 --seeds 20 --jobs 2"),
    (compare, "compare runs/boshnas-pool-glue8 runs/random-pool-glue8 --out figures"),
    (query, "query f84bf6d1b795426eb0d3abadad817b2b8ba621fb9e1e1c7297c1e02eb7268fc7 --task rte"),
    (info, "info flexibert-mini --graph flexibert-mini.svg"),
    (optimizers, "optimizers"),
    (figures, "figures all --out figures"),
    (tables, "tables 3"),
    (report, "report --space g1 --out report.html"),
    (ged, "ged --space g1"),
    (embed, "embed --space g1 --distance ged --dim 16 --figures figures"),
    (export, "export flexibert-mini --labels 2 --out flexibert-mini"),
    (train, "train bert-tiny --protocol cpu-lite --tasks sst2,mrpc --data data-folder --out bert-tiny"),
    (fill, "fill --cards cards.txt --protocol cpu-lite --data data-folder --store my-results"),
    (verify, "verify --store my-results"),
    (compact, "compact my-results"),
):
    app.command(epilog=f"Example: flexnas-bench {_example}")(_command)
app.add_typer(import_app, name="import", epilog="Example: flexnas-bench import published ../shared/published")
app.add_typer(surrogate_app, name="surrogate", epilog="Example: flexnas-bench surrogate evaluate --task glue8")


def main() -> None:
    """Runs the command line of this process; a polite kill ends it as Ctrl-C does, with the code that shells expect."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(run_app(sys.argv[1:]))


def run_app(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    try:
        code = app(arguments or ["--help"], prog_name="flexnas-bench", standalone_mode=False) or 0
    except FlexnasError as error:
        return _refuse(str(error))
    except _UsageError as error:
        return _refuse(error.format_message())  # type: ignore[attr-defined]  # click's, see above
    except OSError as error:
        return _refuse(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        say_error("Interrupted.")
    return int(code)


def _refuse(reason: str) -> int:
    say_error(f"Error: {' '.join(reason.split())}")
    return 2
