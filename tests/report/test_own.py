import math

import pytest
from selenium.webdriver.common.by import By

from flexnas_bench import Store, Training, load_space
from flexnas_bench.cli.app import run_app
from flexnas_bench.storage import data_folder
from tests.report.conftest import open_page

PROTOCOL = "<!--<script>"
RUNS = data_folder() / "runs"
CARDS = load_space("homogeneous").sample(12, seed=1)


def write(folder, *options):
    arguments = ["report", "--space", folder / "pool_cards.jsonl", "--embedding", "one-hot", *options]
    return run_app(list(map(str, arguments)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A list of cards, named as a shipped table is, and a store with a score, a failed training and a mean name."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "pool_cards.jsonl").write_text("\n".join(card.to_json() for card in CARDS))
    scores = zip(CARDS, (57.25, math.nan), strict=False)
    Store(folder / "store").append([Training(card=card, protocol=PROTOCOL, scores={"rte": s}) for card, s in scores])
    assert write(folder, "--store", folder / "store", "--out", folder / "own.html") == 0
    return folder


def test_the_same_tables_give_the_same_page(folder):
    assert write(folder, "--store", folder / "store", "--out", folder / "again.html") == 0
    assert (folder / "again.html").read_bytes() == (folder / "own.html").read_bytes()


def test_ones_own_scores_are_shown_first_and_failures_as_such(chromium, folder):
    open_page(chromium, (folder / "own.html").as_uri())
    assert chromium.find_element(By.CSS_SELECTOR, "#score option:checked").text == f"rte, {PROTOCOL}"
    best = [one.text for one in chromium.find_elements(By.CSS_SELECTOR, "#best button")]
    assert best == ["rte 57.25, measured"]
    chromium.execute_script("location.hash = arguments[0]", CARDS[1].hash)
    facts = chromium.find_element(By.ID, "card-facts")
    assert facts.text.startswith("rte failed, measured")
    assert not chromium.find_element(By.ID, "curves-section").is_displayed()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--space", "g2"], "room for 20,000"),
        (["--space", "nope"], "no space is named"),
        (["--embedding", "nope"], "unknown embedding"),
        (["--runs", "nope"], "there are no runs"),
        (["--store", "nope"], "there is no store"),
        (["--runs", RUNS / "pool.parquet"], "--runs: these are searches of pool, not of homogeneous"),
        (["--out", "."], "Is a directory"),
        (["--out", "report.txt"], "--out: 'report.txt' is not the name of an .html file"),
        (["--store", "nope", "--out", "new/folder/a.html"], "there is no store"),
    ],
)
def test_a_mistake_is_one_line(capsys, tmp_path, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    assert run_app(["report", "--space", "homogeneous", *map(str, options)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_who_has_no_vectors_is_told_of_others(capsys, tmp_path):
    far = '{"l": 2, "o": ["SA", "SA"], "h": [96, 96], "n": [2, 2], "f": [[512], [512]], "p": ["SDP", "SDP"]}'
    space = tmp_path / "far.jsonl"
    space.write_text("".join(far.replace("512", f"{width}") + "\n" for width in (512, 513, 514)))
    assert run_app(["report", "--space", str(space), "--out", str(tmp_path / "a.html")]) == 2
    assert "one-hot has vectors of all cards" in capsys.readouterr().err
    assert run_app(["report", "--space", str(space), "--embedding", "one-hot", "--out", str(tmp_path / "a.html")]) == 0
