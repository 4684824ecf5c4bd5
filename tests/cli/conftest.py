import pytest

from flexnas_bench.cli.app import run_app


@pytest.fixture
def flexnas(capsys):
    """Runs a command line; returns exit code, output and errors."""

    def run(*arguments):
        code = run_app([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run
