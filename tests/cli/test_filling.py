import json
import math

import pytest

from flexnas_bench import ModelCard, Store
from tests.conftest import SMALL

KINDS = (["SDP", 5], ["WMA", 5])


@pytest.fixture
def cards(tmp_path):
    path = tmp_path / "cards.txt"
    path.write_text("# some\n\n" + "".join(json.dumps(SMALL | {"p": kinds}) + "\n" for kinds in KINDS))
    return path


@pytest.fixture
def fill(flexnas, small_data, small_protocol, tmp_path):
    def run(*arguments, protocol=small_protocol, data=small_data, tasks="rte"):
        common = ("--protocol", protocol, "--data", data, "--tasks", tasks, "--store", tmp_path / "store")
        return flexnas("fill", *common, "--device", "cpu", *arguments)

    return run


def test_a_card_that_diverges_is_recorded_and_not_tried_again(fill, cards, small_protocol, tmp_path):
    wild = tmp_path / "wild.toml"
    text = (
        small_protocol.read_text().replace("[small", "[wild").replace("epochs = 2", "epochs = 2\nlearning_rate = 1e30")
    )
    wild.write_text(text + "tasks.rte.learning_rate = 1e30\ntasks.rte.gradient_norm = 0.0\n")
    code, out, _ = fill("--cards", cards, protocol=wild)
    assert code == 0
    assert out.count("diverged") == 2
    rows = Store(tmp_path / "store").rows()
    assert len(rows) == 2
    assert all(math.isnan(row["value"]) and row["note"] for row in rows)
    code, out, _ = fill("--cards", cards, "--json", protocol=wild)
    assert json.loads(out)["trainings"] == [], "a training that diverged is one"


def test_an_optimizer_goes_on_with_what_is_known(fill, cards, tmp_path):
    space = tmp_path / "two.jsonl"
    space.write_text(cards.read_text().partition("\n\n")[2])
    proposed = ("--optimizer", "random", "--space", space, "--json")
    code, out, _ = fill(*proposed, "--budget", 1)
    assert code == 0
    (first,) = json.loads(out)["trainings"]
    code, out, _ = fill(*proposed, "--budget", 1)
    assert json.loads(out)["trainings"] == [], "the budget counts proposals of all calls"
    code, out, _ = fill(*proposed, "--budget", 9)
    (last,) = json.loads(out)["trainings"]
    assert {first["hash"], last["hash"]} == {ModelCard.from_dict(SMALL | {"p": kinds}).hash for kinds in KINDS}
    assert last["scores"]["rte"] == next(
        r["value"] for r in Store(tmp_path / "store").rows() if r["hash"] == last["hash"]
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "a file by --cards, or an --optimizer"),
        (("--cards", "x", "--optimizer", "random"), "and not both"),
        (("--cards", "nowhere.txt"), "cannot read nowhere.txt"),
        (("--optimizer", "random"), "--optimizer needs a --budget"),
        (("--optimizer", "random", "--budget", "2", "--replicates", "2"), "--replicates does nothing with --optimizer"),
        (("--cards", "x", "--space", "g2"), "--space does nothing with --cards"),
        (("--cards", "x", "--scratch", "--overlap", "0.5"), "--overlap does nothing with --scratch"),
        (("--cards", "x", "--cpus", "2"), "--cpus does nothing with --engine local"),
        (("--cards", "x", "--engine", "ray", "--workers", "2"), "--workers does nothing with --engine ray"),
        (("--optimizer", "random", "--budget", "2", "--tasks", "rte,wnli"), "an optimizer is told one score"),
        (("--optimizer", "nobody", "--budget", "2"), "nobody"),
        (("--cards", "x", "--budget", "soon"), "budget: 'soon'"),
        (("--cards", "x", "--engine", "steam"), "steam is not one of local, ray"),
        (("--cards", "x", "--tasks", "rte,tea"), "tea"),
        (("--cards", "x", "--protocol", "electra-owt-100k"), "cannot be run"),
        (("--cards", "x", "--workers", "0"), "--workers"),
    ],
)
def test_what_makes_no_sense_is_one_line(fill, tmp_path, arguments, line):
    code, out, err = fill(*arguments)
    assert (code, out) == (2, "")
    assert line in " ".join(err.split())
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("text", "line"), [("", "no card in it"), ("# x\nbert-tiny\nberta", "line 3: "), ("{}", "line 1: ")]
)
def test_a_list_of_cards_is_read_with_care(fill, tmp_path, text, line):
    (tmp_path / "list.txt").write_text(text)
    code, _, err = fill("--cards", tmp_path / "list.txt")
    assert code == 2
    assert line in err


def test_nothing_is_begun_without_data_or_in_a_folder_of_others(fill, cards, small_data, tmp_path):
    code, _, err = fill("--cards", cards, data=tmp_path)
    assert (code, (tmp_path / "store").exists()) == (2, False)
    without = tmp_path / "data"
    without.mkdir()
    for path in small_data.iterdir():
        if path.name != "corpus":
            (without / path.name).symlink_to(path)
    code, _, err = fill("--cards", cards, data=without)
    assert (code, (tmp_path / "store").exists()) == (2, False)
    assert "no such file" in err
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mine.txt").write_text("keep")
    code, _, err = fill("--cards", cards)
    assert code == 2
    assert "holds something else than a store" in err
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["mine.txt"]
