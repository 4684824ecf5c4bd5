"""The command line: `flexnas-bench`, or `python -m flexnas_bench`."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Entry point: exit code 0 for success, 2 with one line for a user's mistake, 130 for Ctrl-C."""
    try:
        from flexnas_bench.cli.app import main as run  # takes a moment, in which one may think better of it

        run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - what prints otherwise may not be there yet
        sys.exit(INTERRUPTED)
