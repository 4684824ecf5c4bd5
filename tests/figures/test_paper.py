import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexnas_bench import (
    ModelCard,
    NotMeasuredError,
    TableCorruptError,
    Training,
    load_benchmark,
    load_published,
    storage,
)
from flexnas_bench.figures.paper import transfers
from flexnas_bench.figures.paper.frontier import frontier
from flexnas_bench.figures.paper.registry import FIGURES
from flexnas_bench.searching.analysis import CONFIDENCE
from flexnas_bench.searching.recommendation import recommended_so_far
from flexnas_bench.searching.shipped_runs import shipped_runs
from flexnas_bench.storage import data_folder

NAMES = {name: draw for plates in FIGURES.values() for name, draw in plates.items()}


@pytest.fixture(scope="module")
def plates():
    """Every figure."""
    bench = load_benchmark()
    return {name: draw(bench) for name, draw in NAMES.items()}


def test_pictures_numbers_and_captions_are_the_same_again(plates, tmp_path):
    bench = load_benchmark()
    for name in ("figure-2", "figure-4b-pool", "figure-5", "figure-7", "figure-8"):
        first = [path.read_bytes() for path in plates[name].save(tmp_path / "one", name)]
        again = [path.read_bytes() for path in NAMES[name](bench).save(tmp_path / "two", name)]
        assert first == again
        assert [path.suffix for path in sorted((tmp_path / "one").glob(f"{name}.*"))] == [".csv", ".md", ".png", ".svg"]
        assert pd.read_csv(tmp_path / "one" / f"{name}.csv").shape == plates[name].data.shape


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("figure-4")])
def test_means_are_those_of_the_runs_and_published_curves_are_told_apart(plates, name):
    data = plates[name].data
    runs, means = (data[data["series"] == series] for series in ("run", "mean, 90 % interval"))
    own = runs.groupby(["method", "step"])["value"].mean()
    assert means.set_index(["method", "step"])["value"].sort_index().to_numpy() == pytest.approx(own.sort_index())
    assert (means["low"] <= means["value"] + 1e-9).all()
    assert (means["value"] <= means["high"] + 1e-9).all()
    shipped = load_published("fig4")
    theirs = data[data["series"] == "as published"]
    assert theirs["value"].tolist() == shipped[shipped["panel"] == name[7:9]]["best_glue"].tolist()
    assert f"{'predicted' if name.endswith('g1') else 'published'} scores" in plates[name].caption
    assert CONFIDENCE == 0.9
    assert runs.groupby("method")["seed"].nunique().eq(20).all()


sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(sizes)
def test_the_frontier_is_what_nothing_smaller_beats(points):
    parameters, values = (np.array(column) for column in zip(*points, strict=True))
    edge = frontier(parameters, values.astype(float))
    for size in range(1, 10):
        reached = [values[i] for i in edge if parameters[i] <= size]
        assert max(reached, default=None) == max((v for p, v in points if p <= size), default=None)
    assert list(parameters[edge]) == sorted(set(parameters[edge].tolist()))


def test_predicted_and_real_scores_are_told_apart(plates):
    data = plates["figure-5"].data
    assert set(data["origin"]) == {"predicted", "published"}
    assert (data["series"].str.contains("predicted") == (data["origin"] == "predicted")).all()
    assert (data["series"] == "G1, predicted").sum() == 9_312
    assert (data["series"] == "trained, published").sum() == 491
    bench = load_benchmark()
    for row in data[data["series"] == "trained, published"].sample(20, random_state=0).itertuples():
        assert bench.query(row.card_hash).value == row.value


def test_what_was_not_published_is_a_gap(plates):
    data = plates["figure-6"].data
    gaps = data[data["value"].isna()]
    assert set(gaps["model"]) == {"flexibert-small", "flexibert-base", "flexibert-large"}
    table = load_published("table3").set_index("model")
    for row in data.dropna().itertuples():
        assert table.loc[row.model, row.task] == row.value


def test_children_have_what_their_parents_have_at_each_depth(plates):
    data = plates["figure-8"].data
    parents = data[data["card"].str.startswith("parent")]
    children = data[data["card"].str.startswith("child")]
    assert len(children) == 12
    for row in children.to_dict("records"):
        there = parents[parents["layer"] == row["layer"]]
        assert all(row[name] in set(there[name]) for name in ("operation", "hidden", "heads", "feed-forward", "stack"))


def test_times_are_those_of_the_tasks_that_a_card_has_both_ways(monkeypatch):
    deep, tiny = ModelCard.named("bert-4-128"), ModelCard.named("bert-tiny")

    def training(task, seconds, init="scratch", card=tiny):
        facts = {"init": init, "pretrain_seconds": 600.0, "finetune_seconds": seconds, "protocol": "cpu-lite"}
        return Training(card=card, scores={task: 50.0}, run_id=f"{task}{init}{card.hash}", **facts)

    rows = [training("rte", 60.0), training("cola", 30.0), training("wnli", 1.0), training("rte", 5.0, card=deep)]
    monkeypatch.setattr(transfers, "read_trainings", lambda _: rows)
    with pytest.raises(NotMeasuredError, match="trained both ways"):
        transfers.transfers_figure(load_benchmark())
    rows += [training("rte", 66.0, deep.hash), training("cola", 54.0, deep.hash)]
    data = transfers.transfers_figure(load_benchmark()).data
    own = data[data["series"] == "training, minutes"].set_index("bar")["value"]
    assert own.to_dict() == {"Pre-train + Fine-tune": 11.5, "Direct Fine-tune": 1.5, "Knowledge Transfer": 2.0}
    theirs = data[data["series"] == "as published, GPU-hours"]
    assert theirs["value"].tolist() == load_published("fig7")["gpu_hours"].tolist()


def test_figure_3_has_what_is_recommended_and_methods_that_look_at_no_vectors_are_the_same_in_b_and_c(plates):
    data = plates["figure-3"].data
    runs = data[data["series"] == "run"]
    assert runs.groupby(["panel", "method"])["seed"].nunique().eq(50).all()
    values = runs.set_index(["panel", "method", "seed"])["value"]
    for method in ("RS", "ES", "REINFORCE"):
        assert values["b"][method].equals(values["c"][method])
    shipped = shipped_runs("figure-3c")
    judged = recommended_so_far(shipped.frames["boshnas"].query("seed < 3"), shipped.cards, at_end=True).iloc[:, -1]
    assert values["c"]["BOSHNAS"].loc[:2].tolist() == pytest.approx(judged.tolist())
    theirs = data[data["series"] == "as published"]
    assert len(theirs) == len(load_published("fig3")) == 18


#: What a caption names beside its command, by figure.
SAID = {
    "2": ["block graph"],
    "3": ["glue8", "predicted", "electra-owt-100k", "50 seeds", "data/runs/figure-3", "as published"],
    "4": ["glue8", "electra-owt-100k", "20 seeds", "data/runs/", "T2v", "as published"],
    "5": ["glue8", "predicted", "origin published", "electra-owt-100k", "as published"],
    "6": ["Development-set", "origin published", "recipe"],
    "7": ["cpu-lite", "origin measured", "as published"],
    "8": ["Crossover", "seed 0"],
}


@pytest.mark.parametrize("name", NAMES)
def test_captions_say_what_is_shown_and_whose_it_is(plates, name):
    assert [word for word in SAID[name[7]] if word.lower() not in plates[name].caption.lower()] == []


def test_shipped_runs_that_were_changed_are_not_drawn(tmp_path, monkeypatch):
    shutil.copytree(data_folder(), tmp_path / "data")
    monkeypatch.setattr(storage, "data_folder", lambda: tmp_path / "data")
    with (tmp_path / "data" / "runs" / "pool_cards.parquet").open("ab") as file:
        file.write(b" ")
    storage.shipped_path.cache_clear()  # which looks at a file once
    with pytest.raises(TableCorruptError, match="pool_cards"):
        shipped_runs("pool")
    storage.shipped_path.cache_clear()
