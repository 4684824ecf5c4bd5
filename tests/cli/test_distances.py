"""`ged` and `embed` as a user meets them."""

import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from flexnas_bench import alignment_distance, ged, load_embedding, load_space
from flexnas_bench.cli.app import run_app
from flexnas_bench.distance.matched import SCHEMA
from flexnas_bench.storage import read_parquet

SPACE = """
name = "few"
layers = [2]
layers_per_stack = 2
hidden = [128]
heads = [2, 4]
feed_forward = [512, 1024]
feed_forward_stacks = [1]
[operations]
SA = ["SDP"]
LT = ["DFT"]
"""


@pytest.fixture
def few(tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.toml").write_text(SPACE)
    return load_space("few.toml")


def facts_of(capsys, *arguments):
    assert run_app([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_two_cards(capsys):
    facts = facts_of(capsys, "ged", "bert-tiny", "flexibert-mini")
    assert facts == {"ged": 109.2, "alignment_distance": 108.8, "biased_overlap": 0}
    tiny = load_space("g1")[0]
    assert facts_of(capsys, "ged", tiny.to_json(), "bert-tiny", "--edge-cost", 0.05)["ged"] == ged(tiny, tiny)
    assert run_app(["ged", "bert-tiny", "bert-mini"]) == 0
    assert "ged: 199.2" in capsys.readouterr().out


def test_a_space_of_ones_own(few, capsys, tmp_path):
    facts = facts_of(capsys, "ged", "--space", "few.toml", "--out", "few.npy", "--jobs", 1)
    assert (facts["pairs"], facts["exact"]) == (28, 28)
    matrix = np.load("few.npy")
    np.testing.assert_allclose(matrix, [[ged(a, b) for b in few] for a in few], rtol=1e-6)
    assert facts["mean_distance"] == pytest.approx(matrix.sum() / 56, rel=1e-5)
    assert len(list((tmp_path / "cache").rglob("few-*.npy"))) == 1
    again = facts_of(capsys, "ged", "--space", "few.toml")
    assert again["mean_distance"] == facts["mean_distance"]


def test_solving_anew(few, capsys, tmp_path):
    (tmp_path / "CHECKSUMS").write_text("0" * 64 + "  other.parquet\n")
    facts = facts_of(capsys, "ged", "--space", "few.toml", "--solve-table", "ged/table.parquet", "--jobs", 2)
    assert facts["exact"] == 28
    assert len(read_parquet(tmp_path / "ged" / "table.parquet", SCHEMA)) > 3
    assert [line.split()[1] for line in (tmp_path / "CHECKSUMS").read_text().splitlines()] == [
        "ged/table.parquet",
        "other.parquet",
    ]
    assert not list(tmp_path.rglob("anew*.jsonl"))


def test_a_table_is_whole_or_not_written(few, capsys, tmp_path):
    command = ["ged", "--space", "few.toml", "--solve-table", "table.parquet", "--jobs", "1"]
    assert run_app([*command, "--seconds", "0"]) == 2
    assert "not all problems could be solved" in capsys.readouterr().err
    assert not (tmp_path / "table.parquet").exists()
    assert facts_of(capsys, *command)["exact"] == 28
    assert run_app([*command, "--edge-cost", "0.5"]) == 2


@pytest.mark.parametrize("distance", [pytest.param("ged", marks=pytest.mark.slow), "alignment"])
def test_embedding(few, capsys, distance, tmp_path):
    facts = facts_of(
        capsys, "embed", "--space", "few.toml", "--distance", distance, "--dim", 3, "--out", "v.parquet",
        "--figures", "figures",
    )  # fmt: skip
    assert facts["exact"] == facts["pairs"] == 28
    vectors = load_embedding("v.parquet", few).matrix
    measure = ged if distance == "ged" else alignment_distance
    given = np.array([[measure(a, b) for b in few] for a in few])
    error = np.square(cdist(vectors, vectors) - given).sum() / (8 * 7)
    assert facts["mean_squared_error"] == pytest.approx(error, rel=1e-3)
    assert facts["mean_distance"] == pytest.approx(given.sum() / (8 * 7), rel=1e-5)
    pictures = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert pictures == ["v-knee.png", "v-map.png", "v-shepard.png"]
    flat = facts_of(capsys, "embed", "--space", "few.toml", "--dim", 1, "--figures", "flat")
    assert flat["vectors"] == "t2v-few-d1.parquet"


@pytest.mark.parametrize(
    "embedding", [pytest.param("t2v-g1-d16", marks=pytest.mark.slow), "best"]
)  # every other test has one-hot
def test_every_embedding_serves_a_search(embedding, tmp_path, capsys):
    facts = facts_of(
        capsys, "run", "--optimizer", "boshnas", "--embedding", embedding, "--budget", 12, "--out", tmp_path / "run"
    )
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["embedding"] == embedding
    assert facts


def test_a_run_knows_its_vectors(few, tmp_path, capsys):
    """The same folder with other vectors under the same name is another search."""
    run = ["run", "--optimizer", "random", "--embedding", "v.parquet", "--budget", "11", "--out", "run", "--json"]
    embed = ["embed", "--space", "few.toml", "--distance", "alignment", "--out", "v.parquet", "--dim"]
    assert run_app([*embed, "2"]) == run_app(run) == run_app(run) == 0
    assert run_app([*embed, "3"]) == 0
    capsys.readouterr()
    assert run_app(run) == 2
    assert "file of vectors has changed" in capsys.readouterr().err


@pytest.mark.slow
def test_a_space_of_other_blocks_has_a_map_without_scores(few, tmp_path, capsys):
    (tmp_path / "wide.toml").write_text(SPACE.replace("few", "wide").replace("128", "192"))
    facts = facts_of(capsys, "embed", "--space", "wide.toml", "--figures", ".", "--dim", 2)
    assert (facts["vectors"], facts["space"]) == ("t2v-wide-d2.parquet", "wide")
    assert (tmp_path / "t2v-wide-d2-map.png").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["ged"], "name two cards"),
        (["ged", "bert-tiny"], "name two cards"),
        (["ged", "bert-tiny", "bert-mini", "--space", "g1"], "not both"),
        (["ged", "bert-tiny", "bert-mini", "--out", "x.npy"], "name two cards"),
        (["ged", "bert-tiny", "nobody"], "no card is named"),
        (["ged", "bert-tiny", "bert-mini", "--edge-cost", "-1"], "edge_cost"),
        (["ged", "bert-tiny", "bert-mini", "--seconds", "0"], "seconds"),
        (["ged", "--space", "g2"], "84,943,872"),
        (["ged", "--space", "homogeneous", "--jobs", "0"], "jobs"),
        (["ged", "bert-tiny", "flexibert-large"], "no index"),
        (["embed", "--space", "g3"], "3,317,817,600"),
        (["embed", "--distance", "hamming"], "hamming"),
        (["embed", "--out", "vectors"], "not the name of a .parquet file"),
        (["embed", "--out", "."], "not the name of a .parquet file"),
        (["embed", "--figures", "/dev/null/x"], "/dev/null"),
        (["ged", "--space", "homogeneous", "--out", "x.txt"], "not the name of a .npy file"),
        (["ged", "--space", "homogeneous", "--out", "/sys/x.npy"], "/sys/x.npy"),
        (["ged", "bert-tiny", "bert-mini", "--edge-cost", "1e308"], "edge_cost"),
        (["ged", "bert-tiny", "bert-mini", "--jobs", "-1"], "--jobs"),
        (["embed", "--dim", "0"], "--dim"),
        (["embed", "--dim", "999999"], "--dim"),
        (["run", "--embedding", "none.parquet"], "none.parquet"),
        (["run", "--embedding", "t2v"], "unknown embedding"),
    ],
)
def test_mistakes_are_one_line(arguments, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run_app(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert reason in error
    assert not list(tmp_path.glob("*.parquet"))
