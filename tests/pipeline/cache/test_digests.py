"""The digest of a stored array: one formulation for the writer and for any place it is read from."""

import hashlib
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr

from pipeline.cache.records import array_digest
from pipeline.cache.store import CacheStore
from pipeline.cache.writer import folder_digest


@pytest.fixture
def group(tmp_path) -> Path:
    """A group with arrays of many chunks in one and two dimensions, written by zarr."""
    folder = tmp_path / "group"
    root = zarr.create_group(folder, zarr_format=3)
    rng = np.random.default_rng(0)
    for name, shape, chunks in (("line", (240,), (20,)), ("table", (240, 3), (20, 1))):
        array = root.create_array(name, shape=shape, chunks=chunks, dtype=np.int64)
        array[:] = rng.integers(0, 100, shape)
    return folder


def plain_digest(folder: Path) -> str:
    """As docs/cache.md says it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()


@pytest.mark.parametrize("name", ["line", "table"])
def test_writer_and_readers_of_every_place_agree_to_the_byte(group, name):
    expected = plain_digest(group / name)
    assert len(list((group / name).rglob("*"))) > 12
    assert folder_digest(group / name) == expected
    assert CacheStore(str(group)).array_digest(name) == expected
    fsspec.filesystem("memory").put(str(group), "/digests/group", recursive=True)
    assert CacheStore("memory://digests/group").array_digest(name) == expected


def test_a_name_and_every_byte_count():
    files = {"zarr.json": b"{}", "c/0": b"ab", "c/1": b""}
    digests = {array_digest(files, files.__getitem__)}
    for other in (
        {"zarr.json": b"{}", "c/0": b"ac", "c/1": b""},
        {"zarr.json": b"{}", "c/0": b"a", "c/1": b"b"},
        {"zarr.json": b"{}", "c/0": b"ab", "c/2": b""},
        {"zarr.json": b"{}", "c/0": b"ab"},
    ):
        digests.add(array_digest(other, other.__getitem__))
    assert len(digests) == 5


def test_the_order_of_the_names_does_not_matter():
    files = {"c/10": b"a", "c/2": b"b", "c-d": b"c", "zarr.json": b"d"}
    backwards = dict(reversed(files.items()))
    assert array_digest(files, files.__getitem__) == array_digest(backwards, files.__getitem__)
