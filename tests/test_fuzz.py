"""Fuzzed cards and command lines end in exit code 0, or 2 and one line on the error stream; never in a traceback."""

import contextlib
import io
import json
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexnas_bench import ModelCard, OptionError
from flexnas_bench.cli import checking
from flexnas_bench.cli import run as run_module
from flexnas_bench.cli.app import run_app
from flexnas_bench.named import NAMED_CARDS
from tests.conftest import any_cards

_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["SA", "lt", "c", "SDP", "dct", "5", 9, 128, 256, 2, 512, 2**20, 10**9, 10**400, -(10**400)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@st.composite
def spoiled_cards(draw):
    """A card's dictionary with some of its fields, or entries of their lists, replaced, removed or added."""
    values = draw(any_cards).to_dict()
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from([*"lohnfp", "x"]))
        match draw(st.sampled_from(["replace", "remove", "entry", "longer"])):
            case "replace":
                values[field] = draw(_JUNK)
            case "remove":
                values.pop(field, None)
            case "entry" if isinstance(values.get(field), list) and values[field]:
                values[field][draw(st.integers(0, len(values[field]) - 1))] = draw(_JUNK)
            case "longer" if isinstance(values.get(field), list):
                values[field].append(draw(_JUNK))
    return json.dumps(values)


CARD_TEXTS = spoiled_cards() | st.text(max_size=70) | st.sampled_from([*NAMED_CARDS, "0" * 64, "f84b" * 16])
OPTIONS = [
    *("--space", "--task", "--protocol", "--optimizer", "--budget", "--seeds", "--jobs", "--embedding", "--initial"),
    *("--option", "--until-converged", "--out", "--store", "--json", "--kind", "--replicate", "--init", "--graph"),
    *("--data", "--help", "--version", "--", "-x"),
]
VALUES = [
    *("pool", "g1", "g9", "glue8", "rte", "squad", "random", "boshnas", "json:loads", "electra-owt-100k"),
    *("electra-owt-1m-step-150k", "one-hot", "paper12", "0", "-1", "1", "3", "12h", "1e9", "k1=0.3", "k1=x", "=", ""),
    *("nowhere", "nowhere.toml", "nowhere.jsonl", "/", "/dev/null", "table", "auto", "scratch", "published"),
    *("figures", "a.svg", "a.gif", "9" * 400, "two\nlines", "\0", ":", "a:b:c", "k1=" + "[" * 5_000, "\udcff"),
]
COMMANDS = ["run", "query", "info", "optimizers", "verify", "compact", "import", "dance"]


@st.composite
def command_lines(draw):
    word = st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | CARD_TEXTS
    pair = st.tuples(st.sampled_from(OPTIONS), st.sampled_from(VALUES) | st.text(max_size=8))
    head = draw(st.sampled_from([["import", "published"], ["info", "bert-tiny", "--graph"], *([c] for c in COMMANDS)]))
    return [*head, *draw(st.lists(word, max_size=3)), *chain.from_iterable(draw(st.lists(pair, max_size=3)))]


@pytest.fixture(scope="module", autouse=True)
def nothing_long(tmp_path_factory):
    """No search is run and no table checked: what comes before is what is fuzzed."""

    def refuse(*_, **__):
        raise OptionError("this is as far as the test goes")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "search_seeds", refuse)
        patch.setattr(checking, "verify_tables", lambda folder: iter(()))
        patch.chdir(tmp_path_factory.mktemp("fuzz"))
        yield


def check(arguments):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = run_app(arguments)
    assert code in (0, 2)
    assert errors.getvalue().count("\n") == (1 if code else 0)
    assert "Traceback" not in errors.getvalue()


def check_card(text):
    for command in (["query"], ["info"]):
        check([*command, "--json", "--", text])


def fuzz(examples):
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck), derandomize=examples < 1_000)


@fuzz(100)
@given(CARD_TEXTS)
def test_fuzzed_cards(text):
    check_card(text)


@fuzz(150)
@given(command_lines())
def test_fuzzed_command_lines(arguments):
    check(arguments)


@pytest.mark.slow
@fuzz(10_000)
@given(CARD_TEXTS)
def test_ten_thousand_fuzzed_cards(text):
    check_card(text)


@pytest.mark.slow
@fuzz(10_000)
@given(command_lines())
def test_ten_thousand_fuzzed_command_lines(arguments):
    check(arguments)


def test_what_is_fuzzed_includes_what_works():
    check(["info", "--json", "--", ModelCard.named("bert-tiny").to_json()])
    assert run_app(["info", "--json", "--", "bert-tiny"]) == 0
