"""Embeddings by name."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from flexnas_bench.embedding.base import Embedding
from flexnas_bench.embedding.one_hot import OneHot
from flexnas_bench.embedding.stretched import Stretched
from flexnas_bench.embedding.transformer2vec import Transformer2vec
from flexnas_bench.errors import OptionError, TableCorruptError, shown
from flexnas_bench.space import DesignSpace, load_space
from flexnas_bench.storage import shipped_path

#: Vectors that come along, learned for G1.
LEARNED = ("t2v-g1-d16", "t2v-ordered-g1-d16")
#: What predicts the scores of trained cards best (`benchmarks/embedding_worth.py`).
BEST = Stretched.name
EMBEDDINGS = (OneHot.name, Stretched.name, *LEARNED, "best")


def learned_path(name: str) -> str:
    """Where the vectors of a learned embedding are among the shipped tables."""
    return f"embeddings/{name}.parquet"


def check_embedding(name: str) -> None:
    """Raises `OptionError` for an unknown name."""
    if not isinstance(name, str) or (name not in EMBEDDINGS and Path(name).suffix != ".parquet"):
        raise OptionError(
            f"unknown embedding {shown(name)}; there is {', '.join(EMBEDDINGS)}, or a file.parquet of `embed`"
        )


def embedding_digest(name: str) -> str:
    """16 hex digits of a file of vectors, or nothing for an embedding that comes along.

    Raises:
        OptionError: for an unknown name.
        TableCorruptError: the file cannot be read.
    """
    check_embedding(name)
    if name in EMBEDDINGS:
        return ""
    try:
        return sha256(Path(name).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise TableCorruptError(f"cannot read vectors {name}: {error.strerror}") from None


def load_embedding(name: str = OneHot.name, space: DesignSpace | str = "g1") -> Embedding:
    """An embedding over the cards of a space.

    `one-hot`: the choices as zeros and ones; `stretched`: the choices at four relative depths; `t2v-g1-d16`:
    Transformer2vec on the graph edit distance (section 3.3.2); `t2v-ordered-g1-d16`: the same on `alignment_distance`;
    `best`: the one that predicts scores best, `stretched`; or a file that `flexnas-bench embed` wrote.

    >>> embedding = load_embedding("t2v-g1-d16")
    >>> embedding.matrix.shape
    (9312, 16)

    Raises:
        OptionError: for an unknown name.
        TableCorruptError: a file is no table of vectors.
    """
    check_embedding(name)
    space = load_space(space) if isinstance(space, str) else space
    name = BEST if name == "best" else name
    for kind in (OneHot, Stretched):
        if name == kind.name:
            return kind(space)
    return Transformer2vec(space, shipped_path(learned_path(name)) if name in LEARNED else Path(name))
