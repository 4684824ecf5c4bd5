from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from flexnas_bench import TableCorruptError, loading, storage
from flexnas_bench.loading import load_benchmark
from flexnas_bench.results import RESULTS

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A private copy of the shipped data, read instead of the real one."""
    for path in storage.data_folder().iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(storage, "data_folder", lambda: tmp_path)
    caches = [storage.shipped_path, storage._checksums]
    caches += [loading._shipped, loading._shipped_scores, loading._shipped_cards]
    for cached in caches:
        cached.cache_clear()
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


def test_a_table_round_trips_and_gives_the_same_bytes(tmp_path):
    storage.write_parquet(tmp_path / "a.parquet", TABLE)
    storage.write_parquet(tmp_path / "b.parquet", TABLE)
    assert storage.read_parquet(tmp_path / "a.parquet", TABLE.schema) == TABLE
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    storage.write_bytes(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_table_is_corrupt(tmp_path, keep):
    path = tmp_path / "a.parquet"
    storage.write_parquet(path, TABLE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TableCorruptError, match="cannot read table"):
        storage.read_parquet(path)


def test_a_foreign_schema_is_corrupt(tmp_path):
    storage.write_parquet(tmp_path / "a.parquet", TABLE)
    with pytest.raises(TableCorruptError, match="another schema"):
        storage.read_parquet(tmp_path / "a.parquet", RESULTS)


def test_a_missing_table_is_corrupt(tmp_path):
    with pytest.raises(TableCorruptError):
        storage.read_parquet(tmp_path / "none.parquet")


def test_shipped_data_is_small():
    assert sum(path.stat().st_size for path in storage.data_folder().rglob("*") if path.is_file()) < 10_000_000


def test_shipped_data_has_a_checksum_each():
    listed = storage._checksums()
    folder = storage.data_folder()
    files = {
        p.relative_to(folder).as_posix() for suffix in ("parquet", "toml", "json") for p in folder.rglob(f"*.{suffix}")
    }
    assert files == set(listed)
    for name in files:
        assert storage.shipped_path(name).is_file()
    assert sum(p.stat().st_size for p in folder.rglob("*")) < 10_000_000


def test_checksums_of_other_files_stay_as_they_are(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(b"first")
    storage.write_checksums(tmp_path, ["a.parquet", "b.parquet"])
    before = (tmp_path / storage.CHECKSUMS).read_text().splitlines()
    for name in ("a.parquet", "b.parquet"):
        (tmp_path / name).write_bytes(b"second")
    storage.write_checksums(tmp_path, ["a.parquet"])
    after = (tmp_path / storage.CHECKSUMS).read_text().splitlines()
    assert after[0] != before[0]
    assert after[1] == before[1]


@pytest.mark.parametrize("name", ["results.parquet", "protocols.toml"])
def test_one_altered_byte_is_noticed(shipped, name):
    content = bytearray((shipped / name).read_bytes())
    content[len(content) // 2] ^= 1
    (shipped / name).write_bytes(content)
    with pytest.raises(TableCorruptError, match=name):
        load_benchmark()


@pytest.mark.parametrize("name", ["results.parquet", storage.CHECKSUMS])
def test_a_missing_file_is_noticed(shipped, name):
    (shipped / name).unlink()
    with pytest.raises(TableCorruptError):
        load_benchmark()


def test_a_checksum_is_renewed_in_the_folder_above(tmp_path):
    table = tmp_path / "kind" / "a.parquet"
    storage.write_bytes(table, b"first")
    storage.renew_checksum(table)
    assert not list(tmp_path.rglob(storage.CHECKSUMS))  # nobody keeps any
    storage.write_checksums(tmp_path, [])
    storage.renew_checksum(table)
    assert storage.read_checksums(tmp_path) == {"kind/a.parquet": sha256(b"first").hexdigest()}


def test_arrays_come_back_or_were_never_there(tmp_path):
    array = np.arange(12.0).reshape(3, 4)[:, ::2]
    storage.write_array(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array)
    with pytest.raises(OSError, match=r"a\.npy") as caught:
        storage.write_array(tmp_path / "a.npy" / "nowhere.npy", array)
    assert caught.value.errno
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_the_cache_is_where_one_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FLEXNAS_BENCH_CACHE", str(tmp_path / "own"))
    assert storage.user_cache() == tmp_path / "own"
    monkeypatch.delenv("FLEXNAS_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert storage.user_cache() == tmp_path / "flexnas-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert storage.user_cache().parts[-2:] == (".cache", "flexnas-bench")


@pytest.mark.parametrize("target", [".", "/dev/null", "folder"])
def test_what_is_no_file_is_not_replaced(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
        storage.write_bytes(Path(target), b"text")
    assert Path("/dev/null").is_char_device()
