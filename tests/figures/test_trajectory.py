import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from flexnas_bench.figures.trajectory import draw_trajectories


def runs(optimizer, seeds, steps=12, level=70.0):
    rng = np.random.default_rng(3)
    rows = []
    for seed in range(seeds):
        best = level + np.maximum.accumulate(rng.normal(size=steps))
        rows += [{"optimizer": optimizer, "seed": seed, "step": i + 1, "best": v} for i, v in enumerate(best)]
    return pd.DataFrame(rows)


LABELS = {"title": "a title", "ylabel": "points", "note": "published scores, of somebody " * 8}


@pytest.mark.parametrize("seeds", [1, 5])
def test_a_picture_shows_every_optimizer(tmp_path, seeds):
    frame = pd.concat([runs("one", seeds), runs("two", seeds, level=71)])
    draw_trajectories(frame, tmp_path / "a.png", optimum=74.0, **LABELS)
    picture = image.imread(tmp_path / "a.png")
    assert picture.shape[0] > 500
    for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        assert (np.abs(picture[..., :3] * 255 - colour).max(axis=-1) < 2).sum() > 200


def test_the_same_runs_give_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        draw_trajectories(runs("one", 4), tmp_path / name, **LABELS)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
