import json
from pathlib import Path

import numpy as np
import pytest

from flexnas_bench import ModelCard, load_embedding, load_space
from flexnas_bench.distance.overlap import overlap_fraction
from flexnas_bench.modeling import FlexiBertConfig
from flexnas_bench.training.donors import FACTS, Donor, find_donors, nearest_donor

TRAINED = {"recipe": "r", "init": "scratch", "steps": 6, "why": "", "seconds": 1.0}


@pytest.fixture(scope="module")
def embedding():
    return load_embedding("t2v-g1-d16")


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_one_that_a_look_at_all_of_them_finds(embedding, seed):
    g1 = load_space("g1")
    cards = g1.sample(400, seed=seed)
    donors = [Donor(Path(str(i)), card, {}) for i, card in enumerate(cards[1:])]
    query = ModelCard(cards[0].layers[:2])
    found = nearest_donor(query, donors, embedding, 0.5)
    fractions = np.array([overlap_fraction(query, donor.card) for donor in donors])
    if fractions.max() < 0.5:
        assert found is None
        return
    best = np.flatnonzero(fractions == fractions.max())
    distances = np.linalg.norm(embedding.vectors([donors[i].card for i in best]) - embedding.vector(query), axis=1)
    assert found.folder == donors[best[distances.argmin()]].folder


def test_some_queries_have_several_to_choose_from(embedding):
    tiny, g1 = ModelCard.named("bert-tiny"), load_space("g1")
    deeper = [card for card in g1 if card.num_layers == 4 and card.layers[:2] == tiny.layers]
    assert len(deeper) > 50
    found = nearest_donor(tiny, [Donor(Path(card.hash), card, {}) for card in deeper], embedding)
    distances = np.linalg.norm(embedding.vectors(deeper) - embedding.vector(tiny), axis=1)
    assert found.card == deeper[distances.argmin()]
    assert nearest_donor(deeper[0], [Donor(Path("a"), tiny, {})], embedding) is None  # half of its layers


def write(folder, **changes):
    folder.mkdir(parents=True)
    FlexiBertConfig("bert-tiny").save_pretrained(folder)
    (folder / FACTS).write_text(json.dumps(TRAINED | changes))


def test_only_what_was_trained_by_the_recipe_counts(tmp_path):
    write(tmp_path / "a" / "model")
    for name, changes in {
        "other": {"recipe": "s"},
        "transferred": {"init": "f" * 64},
        "diverged": {"why": "no finite loss"},
        "untrained": {"steps": 0},
    }.items():
        write(tmp_path / name / "model", **changes)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FACTS).write_text("{")
    (tmp_path / "no-card").mkdir()
    (tmp_path / "no-card" / FACTS).write_text(json.dumps(TRAINED))
    (found,) = find_donors([tmp_path, tmp_path / "a", tmp_path / "nowhere"], "r")
    assert found.folder == tmp_path / "a" / "model"
    assert found.card == ModelCard.named("bert-tiny")
