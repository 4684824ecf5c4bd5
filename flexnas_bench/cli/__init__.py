"""The command line: `flexnas-bench`."""

from flexnas_bench.cli.main import main

__all__ = ["main"]
