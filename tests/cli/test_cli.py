import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexnas_bench import ModelCard, cli, load_space, search, storage
from flexnas_bench.cli.app import run_app
from flexnas_bench.optimizers import registry
from flexnas_bench.results import GLUE_METRICS
from flexnas_bench.searching.journal import SearchJournal, count_records, journal_path
from flexnas_bench.searching.runs import read_runs
from flexnas_bench.shipped import read_trainings
from flexnas_bench.storage import data_folder
from tests.conftest import any_cards

#: What `search` itself takes; none of it may slip in as an option of the optimizer.
RESERVED = ("seed", "space", "task", "embedding", "initial", "optimizer", "protocol", "budget", "out", "options")


HUGE = json.dumps(ModelCard.named("bert-tiny").to_dict() | {"h": [10**400, 128]})


def test_query_says_score_origin_protocol_and_source(flexnas, bench):
    best = bench.best()
    code, out, err = flexnas("query", best.card_hash)
    assert (code, err) == (0, "")
    for text in ("glue8 75.13", "published", "electra-owt-100k", "Serianni", "assumed by the paper's ratio"):
        assert text in out
    code, out, _ = flexnas("query", bench.card(best.card_hash).to_json(), "--task", "rte", "--json")
    answer = json.loads(out)
    assert answer["value"] == bench.query(best.card_hash, "rte").value
    assert answer["std"] is None
    assert answer["card_hash"] == best.card_hash


def test_a_predicted_score_is_never_shown_as_another(flexnas):
    code, out, _ = flexnas("query", "flexibert-mini", "--kind", "surrogate")
    assert code == 0
    for text in (
        "mean of 8 tasks, predicted mean; a training differs by sd",
        ", predicted,",
        "cost predicted",
        "source of what it is predicted from: A. Serianni",
    ):
        assert text in out
    drawn = json.loads(flexnas("query", "flexibert-mini", "--kind", "surrogate", "--seed", 3, "--json")[1])
    assert drawn["origin"] == "predicted"
    assert f"glue8 {drawn['value']:.2f}" not in out
    text = flexnas("query", "flexibert-mini", "--kind", "surrogate", "--seed", 3)[1]
    assert f"glue8 {drawn['value']:.2f} (mean of 8 tasks, drawn as one training would score" in text
    assert "predicted mean" not in text


def test_a_card_without_a_score_says_who_predicts_it(flexnas):
    hint = "--kind auto or --kind surrogate predicts it"
    code, out, err = flexnas("query", "flexibert-mini")
    assert (code, out) == (2, "")
    assert err.endswith(f"; {hint}\n")
    for more in (("--protocol", "cpu-lite"), ("--replicate", 0), ("--kind", "auto", "--init", "0" * 64)):
        code, _, err = flexnas("query", "flexibert-mini", *more)
        assert (code, hint in err) == (2, False)  # too few cards were trained so, or it would be no answer


def test_info_of_the_benchmark(flexnas):
    facts = json.loads(flexnas("info", "--json")[1])
    measured = [one for one in read_trainings(data_folder()) if one.origin == "measured"]
    trainings = {(one.card, one.protocol, one.init, one.replicate) for one in measured}
    cards = {one.card for one in measured} - {ModelCard.named("flexibert-mini")}  # which has a published score too
    assert facts["trainings"] == 795 + len(trainings)
    assert (facts["cards_trained"], facts["scores"]) == (501 + len(cards), 7_075 + len(measured))
    assert facts["best"]["value"] == 75.13
    assert facts["spaces"]["g3"] == 3_317_817_600
    assert facts["protocols"]["electra-owt-100k"]["trainings"] == 500
    assert facts["protocols"]["electra-owt-1m-step-950k"]["cards"] == 15
    assert "CC BY 4.0" in facts["sources"]["nas-bench-bert-2023"]["licence"]
    code, out, _ = flexnas("info")
    assert code == 0
    for text in ("15 cards at 19 step counts", "table3: FlexiBERT-Mini", "Tuli", "licence: CC BY 4.0", "bert-tiny"):
        assert text in out


def test_info_of_a_card(flexnas, bench):
    code, out, _ = flexnas("info", "flexibert-mini")
    assert code == 0
    assert "scores: no scores" not in out  # the early run has it, on a scale of its own
    assert "flexibert-2021-early" in out
    assert ModelCard.named("flexibert-mini").hash in out
    assert "scores: no scores" in flexnas("info", load_space("g3")[123_456_789].to_json())[1]
    facts = json.loads(flexnas("info", bench.best().card_hash, "--json")[1])
    assert facts["spaces"] == ["g2", "g3", "pool"]
    assert facts["parameters"] == bench.card(facts["hash"]).parameters
    assert {score["task"] for score in facts["scores"]} == {*GLUE_METRICS, "glue8"}
    curved = next(bench.hashes("rte", "electra-owt-1m-step-0k"))
    assert "learning curve electra-owt-1m: 19 checkpoints" in flexnas("info", curved)[1]


def test_info_draws_the_graph(flexnas, tmp_path):
    picture = tmp_path / "mini.svg"
    code, out, _ = flexnas("info", "flexibert-mini", "--graph", picture)
    assert code == 0
    assert str(picture) in out
    assert picture.read_text().count(">layer ") == 4


def test_optimizers_are_listed_with_their_options(flexnas):
    code, out, _ = flexnas("optimizers", "--json")
    assert code == 0
    assert json.loads(out)["boshnas"]["options"]["k1"] == 0.5
    assert "random" in flexnas("optimizers")[1]


def test_a_broken_plugin_does_not_hide_the_others(flexnas, monkeypatch):
    entries = registry._entries() | {"broken": registry.EntryPoint("broken", "flexnas_bench.nowhere:X", registry.GROUP)}
    monkeypatch.setattr(registry, "_entries", lambda: entries)
    code, out, _ = flexnas("optimizers")
    assert code == 0
    assert "broken:" in out
    assert "random" in out


@pytest.mark.slow
def test_import_published_builds_the_shipped_tables(flexnas, published, tmp_path):
    code, out, _ = flexnas("import", "published", published, "--out", tmp_path)
    assert code == 0
    assert "architectures.parquet: 9,795 rows" in out
    assert set(storage._checksums()) >= {line.split()[1] for line in (tmp_path / "CHECKSUMS").read_text().splitlines()}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["query", "{"], "not JSON"),
        (["query", '{"l": 2}'], "field f: missing"),
        (["query", "flexibert-large"], "no scores"),
        (["query", "bert-colossal"], "no card is named 'bert-colossal'; known: bert-tiny"),
        (["query", "0" * 64], "no scores"),
        (["query", "bert-tiny", "--task", "squad"], "unknown task"),
        (["query", "bert-tiny", "--protocol", "x"], "unknown protocol"),
        (["query", "bert-tiny", "--kind", "oracle"], "unknown kind"),
        (["query", "bert-tiny", "--replicate", "one"], "--replicate"),
        (["query"], "Missing argument"),
        (["info", "0" * 64], "no card of hash"),
        (["info", "x" * 64], "or a JSON, or a hash"),
        (["run", "--optimizer", "adam"], "unknown optimizer 'adam'; installed: bananas"),
        (["run", "--space", "g9"], "no space is named"),
        (["run", "--space", "g1", "--kind", "table"], "only 8 of the 9,312"),
        (["run", "--task", "squad"], "unknown task"),
        (["run", "--embedding", "word2vec"], "unknown embedding"),
        (["run", "--kind", "guess"], "kind: 'guess' is none of"),
        (["run", "--noisy", "--kind", "table"], "noisy: a table has the noise"),
        (["run", "--space", "docs", "--levels", "g1,g9"], "no space is named 'g9'"),
        (["run", "--levels", ""], "no space is named"),
        (["run", "--levels", "g2,g1"], "levels: cards of g2 are not in g1"),
        (["run", "--workers", "0"], "workers: 0 is not"),
        (["run", "--transfer", "--overlap", "1.5"], "overlap: 1.5 is not"),
        (["compare", "nowhere"], "nowhere: there are no runs"),
        (["compare", "."], "there are no runs"),
        (["run", "--budget", "-1"], "budget: '-1' is neither"),
        (["run", "--budget", "0h"], "budget: '0h' is neither"),
        (["run", "--seeds", "0"], "--seeds"),
        (["run", "--jobs", "0"], "--jobs"),
        (["run", "--initial", "-2"], "initial: -2 is neither"),
        (["run", "--initial", "paper13"], "initial: 'paper13' is neither"),
        (["run", "--store", "nowhere"], "there is no store at nowhere"),
        (["run", "--space", "nowhere.toml"], "cannot read nowhere.toml: No such file"),
        (["run", "--optimizer", "no.such:Thing"], "cannot be loaded"),
        (["run", "--optimizer", "json:loads"], "not a subclass of Optimizer"),
        (["info", "--graph", "x.svg"], "name one"),
        (["info", "bert-tiny", "--graph", "x.gif"], "a picture is one of"),
        (["verify", "--data", "nowhere"], "there is no folder nowhere"),
        (["verify", "--store", "nowhere"], "there is no store at nowhere"),
        (["compact", "nowhere"], "there is no store at nowhere"),
        (["run", "--option", "k1"], "name=value"),
        (["run", "--option", "k9=1"], "unknown option 'k9'"),
        (["run", "--option", "k1=high"], "not of the kind"),
        (["run", "--option", "alpha=0.9", "--option", "beta=0.9"], "probabilities"),
        *((["run", "--option", f"{name}=1"], f"unknown option '{name}'") for name in RESERVED),
        (["info", ""], "no card is named"),
        (["import"], "Missing command"),
        (["import", "published", "nowhere"], "cannot read nowhere"),
        (["info", HUGE], "is more than 1,048,576"),
        (["query", HUGE], "is more than 1,048,576"),
        (["run", "--seeds", "9" * 20], "--seeds"),
        (["run", "--option", "k1=" + "[" * 90_000], "option k1"),
        (["run", "--option", "k1=1" + "0" * 400], "option k1"),
        (["run", "--optimizer", "flexnas_bench.optimizers.base:Optimizer"], "not a subclass"),
        (["run", "--optimizer", ":"], "':' is not of the form module:Class"),
        (["run", "--optimizer", "a\nb"], "unknown optimizer"),
        (["run", "--space", "a\nb.toml"], "cannot read a b.toml"),
        (["run", "--space", "\0.toml"], "cannot read"),
        (["compact", "a\nb"], "there is no store at a b"),
        (["verify", "--store", "a\nb"], "there is no store at a b"),
        (["dance"], "No such command"),
        (["--volume", "11"], "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(flexnas, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, out, err = flexnas(*arguments)
    assert code == 2
    assert out == ""
    assert says in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_optimizer_in_the_folder_one_works_in(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from flexnas_bench import Optimizer\n"
        "class M(Optimizer):\n"
        "    def propose(self, n, rng):\n"
        "        return self.draw_unseen(n, rng)\n"
    )
    program = str(Path(sys.executable).with_name("flexnas-bench"))
    command = [program, "run", "--optimizer", "mine:M", "--budget", "12", "--out", "run", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["settings"]["optimizer"] == "mine:M"


PLUGINS = """
from flexnas_bench import Optimizer

class Fails(Optimizer):
    def propose(self, n, rng):
        return 1 / 0

class NoPropose(Optimizer):
    pass

class Needs(Optimizer):
    def __init__(self, space, *, beta: float, **common):
        super().__init__(space, **common)
    def propose(self, n, rng):
        return self.draw_unseen(n, rng)

class TakesNothing(Optimizer):
    def __init__(self, space):
        super().__init__(space)
    def propose(self, n, rng):
        return self.draw_unseen(n, rng)
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Fails", r"optimizer plugins:Fails, seed 0: ZeroDivisionError: division by zero \(.*plugins.py, line 6, in"),
        ("NoPropose", "not a subclass of Optimizer with a `propose` of its own"),
        ("Needs", "option beta of Needs has no default"),
        ("TakesNothing", "TakesNothing cannot be made: .*unexpected keyword argument"),
    ],
)
def test_a_plugin_with_a_mistake_is_one_line(flexnas, tmp_path, monkeypatch, name, says):
    (tmp_path / "plugins.py").write_text(PLUGINS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "plugins", raising=False)
    code, _, err = flexnas("run", "--optimizer", f"plugins:{name}", "--budget", 12, "--out", "run")
    assert code == 2
    assert re.search(says, err)
    assert err.count("\n") == 1
    if name == "Needs":
        assert flexnas("run", "--optimizer", "plugins:Needs", "--budget", 3, "--option", "beta=0.5")[0] == 0


def test_an_option_without_a_default_is_listed_too(flexnas, tmp_path, monkeypatch):
    (tmp_path / "plugins.py").write_text(PLUGINS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plugins", raising=False)
    entries = registry._entries() | {"needs": registry.EntryPoint("needs", "plugins:Needs", registry.GROUP)}
    monkeypatch.setattr(registry, "_entries", lambda: entries)
    code, out, _ = flexnas("optimizers", "--json")
    assert code == 0
    assert json.loads(out)["needs"]["options"] == {"beta": None}


def test_a_run_does_not_go_on_with_another_algorithm(flexnas, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "changing", raising=False)
    source = PLUGINS.replace("return 1 / 0", "return self.draw_unseen(n, rng)")
    run = ("run", "--optimizer", "changing:Fails", "--budget", 12, "--out", "run")
    (tmp_path / "changing.py").write_text(source)
    assert flexnas(*run)[0] == 0
    assert flexnas(*run)[0] == 0
    (tmp_path / "changing.py").write_text(source.replace("draw_unseen(n", "draw_unseen(1"))
    code, _, err = flexnas(*run)
    assert code == 2
    assert "the source of the optimizer has changed since" in err


def test_a_shorter_run_says_that_its_folder_has_more(flexnas, tmp_path):
    run = ("run", "--optimizer", "random", "--out", tmp_path / "run")
    flexnas(*run, "--budget", 20, "--seeds", 2)
    out = flexnas(*run, "--budget", 5)[1]
    assert "the folder has 40 evaluations, 5 of them are shown here" in out
    assert len(read_runs(tmp_path / "run" / "runs.parquet")) == 40
    assert "10 cards that all begin with" in flexnas(*run[:-1], tmp_path / "b", "--budget", 8)[1]


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],  # as test_training.py has it
)
def test_a_search_ends_quietly_when_it_is_told_to(tmp_path, how, code):
    words = ["run", "--optimizer", "evolution", "--budget", "400", "--seeds", "9", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "flexnas_bench", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not count_records(journal_path(tmp_path / "run", 0)) and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, how) if how == signal.SIGINT else process.terminate()
    error = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "goes on from there" in error
    for noise in ("Traceback", "leaked"):
        assert noise not in error


def test_ctrl_c_while_the_command_is_still_imported(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flexnas_bench.cli.app", Interrupting("flexnas_bench.cli.app"))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "Interrupted.\n"


class Interrupting(ModuleType):
    def __getattr__(self, name):
        raise KeyboardInterrupt


def test_a_folder_that_cannot_be_written_is_one_line(flexnas, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = flexnas("run", "--optimizer", "random", "--budget", 3, "--out", tmp_path / "file" / "run")
    assert code == 2
    assert err.count("\n") == 1


@settings(max_examples=25)
@given(any_cards | st.text(max_size=40))
def test_no_card_ends_in_a_traceback(card):
    text = card if isinstance(card, str) else card.to_json()
    for command in ("query", "info"):
        assert run_app([command, "--json", "--", text]) in (0, 2)


@pytest.mark.parametrize("command", ["run", "query", "info", "optimizers", "verify", "compact", "import"])
def test_every_command_has_help(flexnas, command):
    code, out, _ = flexnas(command, "--help")
    assert code == 0
    assert "Usage" in out
    assert "Example: flexnas-bench" in " ".join(out.split())


def test_a_full_disk_names_the_file(bench, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    search(bench, "random", budget=2, out=tmp_path / "run")
    with SearchJournal(journal_path(tmp_path / "run", 0)) as journal:
        monkeypatch.setattr("flexnas_bench.journal.os.fsync", full)
        with pytest.raises(OSError, match=r"No space left on device.*seed-0000"):
            journal.append(journal.records[0] | {"step": 3})


def test_the_version_is_that_of_the_package(flexnas):
    assert flexnas("--version")[1] == f"flexnas-bench {version('flexnas-bench')}\n"


def test_the_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "flexnas_bench"], capture_output=True, text=True, check=True)
    assert "query" in done.stdout
