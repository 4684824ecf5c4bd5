import dataclasses
import math

import numpy as np
import pytest

from flexnas_bench.training.finetuning import Finetuned
from flexnas_bench.training.recipe import Finetuning
from flexnas_bench.training.tuning import tune

SETTINGS = Finetuning.read({"epochs": 4, "batch_size": 32, "learning_rate": 2e-5, "trials": 30})


def planted(settings, report):
    """Best at a rate of 2e-4 and batches of 64; rates over 4e-4 diverge."""
    found = Finetuned("rte", settings.learning_rate, settings.batch_size, seconds=1.5)
    if settings.learning_rate > 4e-4:
        found.why = "loss nan"
        return found
    top = 80 - 20 * abs(math.log(settings.learning_rate / 2e-4)) - 5 * (settings.batch_size != 64)
    for epoch in range(1, settings.epochs + 1):
        report(epoch, top * epoch / settings.epochs)
    found.score = top
    return found


def test_it_finds_what_is_planted():
    trials = []
    best = tune(planted, SETTINGS, 0, tell=trials.append)
    assert len(trials) == 30
    assert (trials[0]["learning_rate"], trials[0]["batch_size"]) == (2e-5, 32)  # the settings' own
    assert best.batch_size == 64
    assert 1.4e-4 < best.learning_rate < 2.9e-4
    assert best == dataclasses.replace(SETTINGS, learning_rate=best.learning_rate, batch_size=64)
    assert all(2e-5 <= trial["learning_rate"] <= 5e-4 and trial["batch_size"] in (32, 64, 128) for trial in trials)


def test_bad_trials_are_stopped_and_diverged_ones_never_win():
    trials = []
    tune(planted, SETTINGS, 1, tell=trials.append)
    pruned = [trial for trial in trials if trial["pruned"]]
    whole = [trial for trial in trials if not trial["pruned"] and not trial["why"]]
    assert 3 < len(pruned) < 27
    assert all(len(trial["scores"]) < 4 for trial in pruned)
    assert np.median([max(t["scores"]) for t in pruned]) < np.median([max(t["scores"]) for t in whole])
    assert any(trial["why"] for trial in trials)
    diverging = tune(lambda *_: Finetuned("rte", 1.0, 1, why="loss nan"), SETTINGS, 1)
    assert (diverging.learning_rate, diverging.batch_size) == (2e-5, 32)


@pytest.mark.parametrize("after", [0, 1, 5, 17])
def test_an_interrupted_tuning_goes_on_as_if_nothing_had_been(after):
    whole, parted = [], []
    tune(planted, SETTINGS, 2, tell=whole.append)
    asked = []

    def counted(settings, report):
        asked.append(settings)
        return planted(settings, report)

    tune(counted, SETTINGS, 2, whole[:after], parted.append)
    assert len(asked) == 30 - after
    for trial in (*whole, *parted):
        trial["seconds"] = 0.0
    assert whole[:after] + parted == whole
