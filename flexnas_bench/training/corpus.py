"""Text as tokens: files are tokenised once, into memory-mapped shards with checksums in the user's cache.

The shards of a source are a folder named after what they were made of: the bytes of the file, those of the tokenizer,
and the form of the shards. Its last file lists them with their checksums, so a folder without it was not finished.
Shards can be made again, so damaged ones are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flexnas_bench.errors import DataError, first_line
from flexnas_bench.storage import exclusive, user_cache, write_array, write_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LIST, FORM = "shards.json", "uint16, documents end in </s>, 1"
SHARD_TOKENS, DOCUMENTS = 2**26, 64
#: Seconds to wait for another process that tokenises the same file.
PATIENCE = 3600.0


@dataclass(frozen=True)
class Corpus:
    """Tokens of documents, one after another, each ended by `</s>`; read from the disk when they are asked for.

    Attributes:
        shards: memory-mapped arrays of uint16.
    """

    shards: tuple[NDArray[np.uint16], ...]

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """Tokens from a position on, across shards."""
        parts = []
        for shard in self.shards:
            part = shard[max(start, 0) : max(start + count, 0)]
            parts.append(part)
            start -= len(shard)
        return np.concatenate(parts).astype(np.int64)


def load_corpus(
    sources: Sequence[Path],
    tokenizer: PreTrainedTokenizerFast,
    cache: Path | None = None,
    progress: Callable[[str, int, float], None] | None = None,
) -> Corpus:
    """The tokens of text files, made where they are not in the cache.

    Args:
        sources: Parquet files with a column `text`, a document a row, or `.txt` files, with documents parted by empty
            lines.
        tokenizer: of no more words than shards can hold, 65,536.
        cache: folder of shards; `tokens` in the user's cache if not given.
        progress: told the name of a file, its documents that are done, and their number.

    Raises:
        DataError: a file is missing, damaged, or has no text; the tokenizer has too many words.
    """
    if len(tokenizer) > np.iinfo(np.uint16).max + 1:
        raise DataError(f"a tokenizer of {len(tokenizer):,} words: shards hold no more than 65,536")
    kind = _digest(tokenizer)
    shards: list[NDArray[np.uint16]] = []
    for source in sources:
        try:
            with source.open("rb") as file:
                digest = file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{source}: {error.strerror}") from None
        name = sha256(f"{kind} {digest}".encode()).hexdigest()[:24]
        folder = (cache or user_cache() / "tokens") / f"{source.stem}-{name}"
        with exclusive(folder.with_suffix(".lock"), PATIENCE):
            found = _read_shards(folder)
            shards += found or _make_shards(folder, source, tokenizer, progress)
    return Corpus(tuple(shards))


def _digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """Of its rules, and of the form of shards; not of how it was last told to cut and to pad."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    return sha256(f"{json.dumps(rules, sort_keys=True)} {FORM}".encode()).hexdigest()


def _read_shards(folder: Path) -> list[NDArray[np.uint16]]:
    """Shards whose checksums are right; none where any is wrong or missing."""
    try:
        listed = json.loads((folder / LIST).read_bytes())
        for name, digest in listed.items():
            with (folder / name).open("rb") as file:
                if file_digest(file, "sha256").hexdigest() != digest:
                    return []
        return [np.load(folder / name, mmap_mode="r") for name in listed]
    except (OSError, ValueError, AttributeError):
        return []


def _make_shards(
    folder: Path,
    source: Path,
    tokenizer: PreTrainedTokenizerFast,
    progress: Callable[[str, int, float], None] | None,
) -> list[NDArray[np.uint16]]:
    (folder / LIST).unlink(missing_ok=True)
    listed = {}
    for i, shard in enumerate(_shards(_tokens(source, tokenizer, progress))):
        path = folder / f"{i:05}.npy"
        write_array(path, shard)
        with path.open("rb") as file:
            listed[path.name] = file_digest(file, "sha256").hexdigest()
    if not listed:
        raise DataError(f"{source}: no text")
    write_bytes(folder / LIST, json.dumps(listed, indent=1).encode())
    return [np.load(folder / name, mmap_mode="r") for name in listed]


def _shards(tokens: Iterable[NDArray[np.uint16]]) -> Iterator[NDArray[np.uint16]]:
    """Arrays of up to `SHARD_TOKENS` tokens."""
    waiting: list[NDArray[np.uint16]] = []
    for part in tokens:
        waiting.append(part)
        while sum(map(len, waiting)) >= SHARD_TOKENS:
            together = np.concatenate(waiting)
            yield together[:SHARD_TOKENS]
            waiting = [together[SHARD_TOKENS:]]
    if waiting and len(rest := np.concatenate(waiting)):
        yield rest


def _tokens(
    source: Path, tokenizer: PreTrainedTokenizerFast, progress: Callable[[str, int, float], None] | None
) -> Iterator[NDArray[np.uint16]]:
    """Tokens of some documents at a time."""
    done = 0
    for documents, total in _documents(source):
        texts = [text or "" for text in documents]  # a row may have none
        encoded: Any = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
        ids = [[*one, tokenizer.eos_token_id] for one in encoded["input_ids"] if one]
        yield np.array([token for one in ids for token in one], dtype=np.uint16)
        done += len(documents)
        if progress is not None:
            progress(source.stem, done, total)


def _documents(source: Path) -> Iterator[tuple[list[str], float]]:
    """Some documents at a time, and how many there are in all, as far as that is known."""
    if source.suffix != ".parquet":
        yield from ((documents, inf) for documents in _paragraphs(source))
        return
    try:
        file = pq.ParquetFile(source)
        if "text" not in file.schema_arrow.names:
            raise DataError(f"{source}: no column text")
        for batch in file.iter_batches(DOCUMENTS, columns=["text"]):
            yield batch["text"].to_pylist(), file.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{source}: not a whole Parquet file: {first_line(error)}") from None


def _paragraphs(source: Path) -> Iterator[list[str]]:
    """Documents of a text file, which empty lines part."""
    with source.open(encoding="utf-8", errors="replace") as lines:
        waiting: list[str] = []
        documents: list[str] = []
        for line in lines:
            if line.strip():
                waiting.append(line)
                continue
            if waiting:
                documents.append("".join(waiting).rstrip("\n"))
                waiting = []
            if len(documents) == DOCUMENTS:
                yield documents
                documents = []
        if waiting:
            documents.append("".join(waiting).rstrip("\n"))
        if documents:
            yield documents
