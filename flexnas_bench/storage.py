"""Files that can be trusted: atomic writes, Parquet under a schema, SHA-256 of everything shipped."""

from __future__ import annotations

import errno
import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from flexnas_bench.errors import BusyError, RunMismatchError, TableCorruptError

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHECKSUMS = "CHECKSUMS"


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file all or nothing."""
    with replaced(path) as file:
        file.write(content)


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends well: a temporary one, fsync, rename."""
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        temporary.unlink(missing_ok=True)


def check_target(path: Path) -> None:
    """Raises `OSError` where a file cannot be written: a folder or device is in its place, or its folder is closed."""
    if not path.name or path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "Not a regular file", str(path))
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Writes an array as `.npy`, all or nothing."""
    import numpy as np  # which a query can do without

    with replaced(path) as file:
        np.save(SimpleNamespace(write=file.write), array)  # numpy itself would not say why a disk takes no more


def user_cache() -> Path:
    """Folder for what can be computed again: `FLEXNAS_BENCH_CACHE`, or `flexnas-bench` among the user's caches."""
    own = os.environ.get("FLEXNAS_BENCH_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flexnas-bench"


@contextmanager
def exclusive(path: Path, patience: float) -> Iterator[None]:
    """Holds a lock file, for one process at a time; the system lets go of it when its holder dies.

    Raises:
        BusyError: another process held it for longer than `patience` seconds.
    """
    from filelock import FileLock, Timeout  # asyncio comes with it, which reading does not need

    lock = FileLock(path, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"another process is writing to {path.parent}; try again when it is done") from None
    try:
        yield
    finally:
        lock.release()


def claim(folder: Path, name: str, content: bytes, what: str) -> bytes:
    """Writes the settings of a search or a training into a new or empty folder; returns those that are there now.

    Raises:
        RunMismatchError: the folder holds something else, and no such file.
    """
    path = folder / name
    if folder.exists() and not folder.is_dir():
        raise RunMismatchError(f"{folder} is no folder")
    # Listed before the settings are looked for: whatever else is written there, the settings are there first.
    occupied = folder.exists() and any(not entry.name.startswith(".") for entry in folder.iterdir())
    if not path.exists():
        if occupied:
            raise RunMismatchError(f"{folder} is not empty and holds no {what}; name another folder with --out")
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / f".{name}.lock", patience=30.0):  # of two that begin together one decides
            if not path.exists():
                write_bytes(path, content)
    return path.read_bytes()


def table_schema(**columns: str) -> pa.Schema:
    """A schema of columns by kind, `text`, `int`, `real` or `flag`; a trailing `?` allows nulls."""
    types = {"text": pa.string(), "int": pa.int64(), "real": pa.float64(), "flag": pa.bool_()}
    return pa.schema(
        [pa.field(name, types[kind.rstrip("?")], nullable=kind.endswith("?")) for name, kind in columns.items()]
    )


def write_parquet(path: Path, table: pa.Table) -> None:
    """Writes a table atomically; the same table gives the same bytes under the same pyarrow."""
    write_bytes(path, parquet_bytes(table))


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", compression_level=19, **_encodings(table.schema))
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def _encodings(schema: pa.Schema) -> dict[str, list[str]]:
    """Numbers hardly repeat, so a dictionary of them would be larger than they are; vectors are kept byte by byte."""
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    vectors = [field.name for field in schema if pa.types.is_list(field.type)]
    return {
        "use_dictionary": [name for name in schema.names if name not in {*numbers, *vectors}],
        "use_byte_stream_split": [f"{name}.list.element" for name in vectors],
    }


def read_parquet(path: Path, schema: pa.Schema | None = None, content: bytes | None = None) -> pa.Table:
    """Reads a table and, where a schema is given, insists on it.

    Args:
        path: the file.
        schema: names, types and nullability of the columns.
        content: what is in the file, if it has been read already.

    Raises:
        TableCorruptError: the file is missing, truncated, no Parquet, or of another schema.
    """
    try:
        source = path if content is None else pa.BufferReader(content)
        with pq.ParquetFile(source) as file:  # not pq.read_table: that imports pandas
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise TableCorruptError(f"cannot read table {path}: {_first_line(error)}") from None
    if schema is not None and not table.schema.equals(schema):
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise TableCorruptError(f"table {path} has another schema than expected: {found}")
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """A settings file; raises `TableCorruptError` where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableCorruptError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of the encoding, of the syntax, of numbers too long to read
        raise TableCorruptError(f"cannot read {path}: {_first_line(error)}") from None


@cache
def shipped_path(name: str) -> Path:
    """Path of a shipped file, its checksum verified once a process; raises `TableCorruptError`."""
    path = data_folder() / name
    try:
        digest = sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise TableCorruptError(f"cannot read shipped file {name}: {error.strerror}") from None
    if _checksums().get(name) != digest:
        raise TableCorruptError(f"shipped file {name} is not what {CHECKSUMS} says; reinstall flexnas-bench")
    return path


def shipped_digest(name: str) -> str:
    """SHA-256 of a shipped file, as its checksum says; raises `TableCorruptError` where it has none."""
    if name not in _checksums():
        raise TableCorruptError(f"shipped file {name} is not in {CHECKSUMS}; reinstall flexnas-bench")
    return _checksums()[name]


def read_shipped(name: str, schema: pa.Schema | None = None) -> pa.Table:
    """A shipped table; raises `TableCorruptError` where it is not what was shipped."""
    return read_parquet(shipped_path(name), schema)


def read_shipped_toml(name: str) -> dict[str, Any]:
    """A shipped settings file; raises `TableCorruptError` where it is not what was shipped."""
    return read_toml(shipped_path(name))


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Writes checksums of these files of a folder into its `CHECKSUMS`, which `sha256sum --check` reads.

    Lines of other files stay as they are.
    """
    path = folder / CHECKSUMS
    digests = read_checksums(folder) if path.exists() else {}
    digests |= {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}
    write_bytes(path, "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode())


def renew_checksum(path: Path) -> None:
    """Writes the checksum of a file into the `CHECKSUMS` of its folder or the one above, where there is such a file."""
    for folder in path.resolve().parents[:2]:
        if (folder / CHECKSUMS).exists():
            write_checksums(folder, [path.resolve().relative_to(folder).as_posix()])
            return


def data_folder() -> Path:
    """The folder of shipped data, in a checkout as in an installed wheel."""
    return Path(str(resources.files("flexnas_bench.data")))


@cache
def _checksums() -> dict[str, str]:
    return read_checksums(data_folder())


def read_checksums(folder: Path) -> dict[str, str]:
    """SHA-256 by file name, from the `CHECKSUMS` of a folder; raises `TableCorruptError` if it cannot be read."""
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TableCorruptError(f"cannot read {folder / CHECKSUMS}: {_first_line(error)}") from None
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines if "  " in line)}


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
