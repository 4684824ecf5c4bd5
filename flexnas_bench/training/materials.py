"""What is trained on under a protocol: tokenizer, text and tasks, each read when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexnas_bench.cost import VOCABULARY
from flexnas_bench.errors import DataError, first_line
from flexnas_bench.modeling.folder import load_tokenizer
from flexnas_bench.training.batches import END, MASK, PADDING, START, MaskedBatches
from flexnas_bench.training.corpus import load_corpus
from flexnas_bench.training.examples import Encoded, encode
from flexnas_bench.training.glue import read_task, task_of
from flexnas_bench.training.protocol import Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

#: The tokenizer in a folder of data, and on the hub.
TOKENIZER, HUB_TOKENIZER = "roberta_tokenizer", "FacebookAI/roberta-base"
#: Seed of the training examples that a protocol keeps of a task: the same ones for all cards.
DRAW = 0


class Materials:
    """Data of a protocol, kept once read.

    Args:
        protocol: says what, and how much of it.
        data: folder with `glue/`, `corpus/` and `roberta_tokenizer/`; tasks and tokenizer come from the hub without.
    """

    def __init__(self, protocol: Protocol, data: Path | None = None) -> None:
        self._protocol, self._data = protocol, data
        self._tasks: dict[str, tuple[Encoded, Encoded]] = {}

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """RoBERTa's byte-level BPE; raises `DataError` where there is none, or another one."""
        tokenizer = load_tokenizer(self._data / TOKENIZER) if self._data else _tokenizer_of_hub()
        marks = ("bos_token_id", "pad_token_id", "eos_token_id", "mask_token_id")
        if [getattr(tokenizer, mark) for mark in marks] != [START, PADDING, END, MASK] or len(tokenizer) != VOCABULARY:
            raise DataError(f"{tokenizer.name_or_path}: not the tokenizer of RoBERTa, with its {VOCABULARY:,} tokens")
        tokenizer.model_max_length = 512
        return tokenizer

    def batches(self, seed: int, progress: Callable[[str, int, float], None] | None = None) -> MaskedBatches:
        """Batches for pre-training; raises `DataError` where text is missing, or other than the protocol says."""
        settings = self._protocol.pretraining
        corpus = load_corpus([self._text(name) for name in settings.corpus], self.tokenizer, progress=progress)
        if settings.tokens not in (0, len(corpus)):
            raise DataError(
                f"{' and '.join(settings.corpus)} have {len(corpus):,} tokens here, and {settings.tokens:,} under "
                f"protocol {self._protocol.name}; another corpus needs a protocol of its own"
            )
        return MaskedBatches(corpus, settings.length, settings.batch_size, seed, VOCABULARY, settings.masked)

    def check_text(self) -> None:
        """Raises `DataError` where a text for pre-training is missing; nothing is read."""
        for name in self._protocol.pretraining.corpus:
            if not (path := self._text(name)).is_file():
                raise DataError(f"{path}: no such file")

    def _text(self, name: str) -> Path:
        if self._data is None:
            raise DataError(f"pre-training needs text: a folder of data with corpus/{name}.parquet")
        found = [self._data / "corpus" / f"{name}{ending}" for ending in (".parquet", ".txt")]
        return next((path for path in found if path.exists()), found[0])

    def task(self, name: str) -> tuple[Encoded, Encoded]:
        """Training and development set of a task, as tokens.

        Raises:
            OptionError: no such task.
            DataError: it is missing, damaged, or other than the protocol says.
        """
        if name not in self._tasks:
            self._tasks[name] = self._read(name)
        return self._tasks[name]

    def _read(self, name: str) -> tuple[Encoded, Encoded]:
        task = task_of(name)
        settings = self._protocol.finetuning[name]
        training, development = read_task(task, self._data)
        found = (len(training), len(development))
        if settings.examples not in ((), found):
            raise DataError(
                f"{name} has {found[0]:,} training and {found[1]:,} development examples here, and "
                f"{settings.examples[0]:,} and {settings.examples[1]:,} under protocol {self._protocol.name}; other "
                "data needs a protocol of its own"
            )
        kept = training.subset(settings.rows or len(training), DRAW)
        return encode(kept, self.tokenizer, settings.length), encode(development, self.tokenizer, settings.length)


def _tokenizer_of_hub() -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(HUB_TOKENIZER)
    except Exception as error:  # whatever their network raises
        raise DataError(f"{HUB_TOKENIZER} from the hub: {first_line(error)}; or name a folder of data") from None
