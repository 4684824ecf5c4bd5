import dataclasses

import pytest

from flexnas_bench import OptionError, load_benchmark
from flexnas_bench.errors import TableCorruptError
from flexnas_bench.training.glue import TASKS
from flexnas_bench.training.protocol import Protocol, load_protocol

#: Table 6 of the paper.
TABLE_6 = {
    "cola": (2.0e-4, 64),
    "mnli": (9.4e-5, 64),
    "mrpc": (2.23e-5, 32),
    "qnli": (5.03e-5, 128),
    "qqp": (3.7e-4, 64),
    "rte": (1.9e-4, 128),
    "sst2": (1.2e-4, 128),
    "stsb": (7.0e-5, 32),
    "wnli": (4.0e-5, 128),
}


def test_the_papers_recipe_is_that_of_the_paper():
    paper, final = load_protocol("paper"), load_protocol("paper-final")
    settings = paper.pretraining
    assert (settings.steps, settings.batch_size, settings.learning_rate) == (1_000_000, 256, 1e-5)
    assert (settings.warmup_steps, settings.weight_decay) == (10_000, 0.01)
    assert (settings.beta1, settings.beta2, settings.epsilon) == (0.9, 0.98, 1e-6)
    assert (final.pretraining.steps, final.finetuning["rte"].epochs) == (3_000_000, 10)
    assert final.pretraining.corpus == (*settings.corpus, "c4")
    for task, chosen in TABLE_6.items():
        for protocol, epochs in ((paper, 5), (final, 10)):
            found = protocol.finetuning[task]
            assert (found.learning_rate, found.batch_size, found.epochs) == (*chosen, epochs)
            assert (found.learning_rates, found.batch_sizes) == ((2e-5, 5e-4), (32, 64, 128))


def test_shipped_protocols_are_complete_and_have_caps():
    for name, rows in (("cpu-lite", 3_000), ("gpu-lite", 10_000)):
        protocol = load_protocol(name)
        assert set(protocol.finetuning) == set(TASKS)
        assert all(settings.rows == rows and len(settings.examples) == 2 for settings in protocol.finetuning.values())
        assert load_benchmark().protocols[name] == protocol.facts
        assert protocol.facts["evaluation"].startswith("GLUE development sets")


def test_a_hash_is_that_of_the_settings():
    one = load_protocol("cpu-lite")
    same = Protocol("other", one.pretraining, dict(reversed(one.finetuning.items())), {"summary": "in other words"})
    assert same.hash == one.hash
    others = [dataclasses.replace(one, pretraining=dataclasses.replace(one.pretraining, steps=7))]
    for task in TASKS:
        changed = dataclasses.replace(one.finetuning[task], epochs=7)
        others.append(dataclasses.replace(one, finetuning={**one.finetuning, task: changed}))
    assert len({one.hash, *(other.hash for other in others)}) == len(TASKS) + 2


def write(path, text):
    path.write_text(text)
    return path


def test_a_file_says_what_differs_from_its_base(tmp_path):
    text = '[mine]\nbase = "cpu-lite"\nsummary = "all of SST-2"\nfinetuning.tasks.sst2 = {rows = 0}\n'
    mine, base = load_protocol(write(tmp_path / "mine.toml", text)), load_protocol("cpu-lite")
    assert mine.name == "mine"
    assert mine.facts["summary"] == "all of SST-2"
    assert mine.facts["evaluation"] == base.facts["evaluation"]
    assert mine.finetuning["sst2"] == dataclasses.replace(base.finetuning["sst2"], rows=0)
    assert {**mine.finetuning, "sst2": None} == {**base.finetuning, "sst2": None}
    assert mine.pretraining == base.pretraining
    assert mine.hash != base.hash


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "one table, named as the protocol, and not 0"),
        ('[a]\nbase = "cpu-lite"\n[b]\n', "one table, named as the protocol, and not 2"),
        ('[cpu-lite]\nbase = "cpu-lite"\n', "cpu-lite is the name of another protocol"),
        ('[a]\nbase = "none"\n', "base: unknown protocol 'none'"),
        ('[a]\nbase = "a"\n', "base: unknown protocol 'a'"),
        ('[a]\nbase = ["b"]\n', "base: unknown protocol"),
        ('[a]\nsummary = "b"\n', "a is a record and cannot be run: it has no table of pretraining"),
        ('[a]\nbase = "cpu-lite"\npretraining.steps = -1\n', "steps: -1 makes no sense"),
        ('[a]\nbase = "cpu-lite"\npretraining.stepps = 1\n', "stepps: no setting of pretraining"),
        ('[a]\nbase = "cpu-lite"\nfinetuning.tasks.snli.rows = 1\n', "finetuning.tasks: snli is none of cola"),
        ('[a]\nbase = "cpu-lite"\nfinetuning.tasks.rte.rows = "b"\n', "rows: 'b' makes no sense"),
        ('[a]\nbase = "cpu-lite"\nfinetuning.tasks.rte = 3\n', "finetuning.tasks: a table of tables"),
        ('[a]\nbase = "cpu-lite"\nfinetuning.learning_rates = [1e-3]\n', "learning_rates: "),
        ('[a]\nbase = "cpu-lite"\nfinetuning.learning_rate = inf\n', "learning_rate: inf makes no sense"),
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path, text, reason):
    with pytest.raises(OptionError, match=reason):
        load_protocol(write(tmp_path / "a.toml", text))


def test_names_that_cannot_be_run_are_refused(tmp_path):
    with pytest.raises(OptionError, match="'x'; there are paper, paper-final, cpu-lite, gpu-lite, and"):
        load_protocol("x")
    with pytest.raises(OptionError, match="electra-owt-100k is a record and cannot be run"):
        load_protocol("electra-owt-100k")
    with pytest.raises(TableCorruptError, match=r"none\.toml"):
        load_protocol(tmp_path / "none.toml")
    with pytest.raises(TableCorruptError, match="cannot read"):
        load_protocol(write(tmp_path / "bad.toml", "[a\n"))
