"""Processes that begin with torch and this package imported: a new interpreter takes ten seconds for that, each time.

They are forked from a server that has imported it, runs a single thread and does nothing else. All else is as with
the processes of the package and with its command line: they have a memory and a number of their own, and can be killed.
"""

from __future__ import annotations

import os
import sys
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.forkserver import ensure_running, set_forkserver_preload
from unittest.mock import patch

from flexnas_bench.cli import main

#: With torch and transformers, and what numba compiles.
PRELOADED = ["pytest", "flexnas_bench.cli.app", "flexnas_bench.filling.worker", "flexnas_bench.distance.kernel"]


class Process(ForkServerProcess):
    """With the environment of its parent, which a server that was started earlier does not know."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._environment = dict(os.environ)

    def start(self):
        set_forkserver_preload(PRELOADED)
        with patch.dict(os.environ, OMP_NUM_THREADS="1"):
            ensure_running()
        super().start()

    def run(self):
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()


class Context(ForkServerContext):
    """Stands for that of `multiprocessing`."""

    Process = Process


class Command(Process):
    """A command line, at the head of a group of processes.

    Args:
        words: of it.
        folder: what it says goes to files there.
        before: called in its process at first.
    """

    def __init__(self, words, folder, before=None):
        super().__init__(target=_run, args=(list(map(str, words)), folder, before))
        self._folder = folder

    @property
    def output(self):
        return (self._folder / "output.txt").read_text()

    @property
    def errors(self):
        return (self._folder / "errors.txt").read_text()


def _run(words, folder, before):
    os.setsid()
    for number, name in enumerate(("output.txt", "errors.txt"), start=1):
        os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    if before is not None:
        before()
    sys.argv = ["flexnas-bench", *words]
    main()
