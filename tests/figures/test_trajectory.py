import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from flexnas_bench.figures.styles import COLOURS, MARKS, METHODS, styles_of
from flexnas_bench.figures.trajectory import draw_trajectories
from flexnas_bench.report.charts import MARKERS


def runs(seeds, steps=12, level=70.0):
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        level + np.maximum.accumulate(rng.normal(size=(seeds, steps)), axis=1), columns=range(1, steps + 1)
    )


LABELS = {"title": "a title", "ylabel": "points", "note": "published scores, of somebody " * 8}


@pytest.mark.parametrize("seeds", [1, 5])
def test_a_picture_shows_every_optimizer(tmp_path, seeds):
    tables = {"one": runs(seeds), "two": runs(seeds, level=71)}
    draw_trajectories(tables, tmp_path / "a.png", optimum=74.0, **LABELS)
    picture = image.imread(tmp_path / "a.png")
    assert picture.shape[0] > 500
    for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        assert (np.abs(picture[..., :3] * 255 - colour).max(axis=-1) < 2).sum() > 200


def test_the_same_runs_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_trajectories({"one": runs(4)}, tmp_path / name, **LABELS)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("missing", [3, 12])
def test_failed_evaluations_are_drawn_as_gaps(tmp_path, missing):
    failed = runs(2)
    failed.iloc[:, :missing] = np.nan
    draw_trajectories({"one": failed, "two": failed, "three": failed, "four": failed}, tmp_path / "a.png", **LABELS)
    assert image.imread(tmp_path / "a.png").shape[0] > 500


def test_methods_are_told_apart_by_colour_and_mark_and_their_variants_by_dash():
    names = ["boshnas", "boshnas, T2v", "boshnas, best", "random", "mine", "mine, too", *METHODS]
    styles = styles_of(dict.fromkeys(names))
    alike = [styles[name] for name in ("boshnas", "boshnas, T2v", "boshnas, best")]
    assert len({(one.colour, one.mark) for one in alike}) == 1
    assert [one.dash for one in alike] == ["solid", "dashed", "dotted"]
    assert (styles["mine"].colour, styles["mine"].dash) == (styles["mine, too"].colour, "solid")
    optimizers = [styles[name] for name in METHODS if "without" not in name]
    assert len({one.colour for one in optimizers}) == len({one.mark for one in optimizers}) == len(optimizers)
    assert styles_of(["random"])["random"] == styles["random"]  # whatever is drawn beside it
    assert len(MARKS) == len(COLOURS)
    assert MARKERS.keys() == set(MARKS.values())
