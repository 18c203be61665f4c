"""The member reader agrees with numpy on sound files and names every fault of the others."""

import io
import os
import socket
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.defects import Defect
from pipeline.errors import DataError, ShardError
from pipeline.release.npz import Bounds, NpzFile
from tests.pipeline.releases import damage_member


@given(
    array=hnp.arrays(
        st.sampled_from(["<i4", "<u2", "u1", "<f8", ">i4", "?"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    ),
    compressed=st.booleans(),
    fortran=st.booleans(),
)
def test_members_are_what_numpy_loads(array, compressed, fortran, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "file.npz"
    array = np.asfortranarray(array) if fortran else array
    (np.savez_compressed if compressed else np.savez)(path, first=array, second=array.ravel()[:0])
    file = NpzFile(path)
    assert file.names() == ["first", "second"]
    found = file.read("first")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert file.read("second").size == 0


def fault_of(path, member="a"):
    with pytest.raises(ShardError) as caught:
        NpzFile(path).read(member)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value.defect


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "ev001.npz"
    np.savez_compressed(path, a=np.arange(5000), b=np.arange(3))
    return path


def test_a_flipped_byte_is_a_bad_crc_of_that_member_only(npz):
    damage_member(npz, "a")
    assert fault_of(npz) is Defect.BAD_CRC
    assert NpzFile(npz).read("b").tolist() == [0, 1, 2]


@given(keep=st.floats(0, 0.999))
def test_a_truncated_file_is_refused(keep, tmp_path_factory):
    path = tmp_path_factory.mktemp("npz") / "ev001.npz"
    np.savez_compressed(path, a=np.arange(500))
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert fault_of(path) is Defect.UNREADABLE_FILE


def test_a_file_that_is_not_npz_is_refused(npz):
    npz.write_text("this is not an archive")
    assert fault_of(npz) is Defect.UNREADABLE_FILE


def test_a_member_that_is_not_an_array_is_refused(tmp_path):
    path = tmp_path / "ev001.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"no array at all")
    assert fault_of(path) is Defect.UNREADABLE_FILE


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "ev001.npz"
    with path.open("wb") as file:
        np.savez_compressed(file, a=np.array([{"x": 1}], dtype=object))
    assert fault_of(path) is Defect.WRONG_DTYPE


def test_a_missing_member_is_named_and_a_missing_file_is_the_systems_own_error(npz, tmp_path):
    assert fault_of(npz, "e9") is Defect.MISSING_MEMBER
    with pytest.raises(FileNotFoundError):
        NpzFile(tmp_path / "ev002.npz")


def with_directory_field(path, offset, value, size=4, member=0):
    """Overwrite a field of a member's entry in the zip directory."""
    data = bytearray(path.read_bytes())
    entry = -1
    for _ in range(member + 1):
        entry = data.index(b"PK\x01\x02", entry + 1)
    data[entry + offset : entry + offset + size] = value.to_bytes(size, "little")
    path.write_bytes(data)


def test_a_member_that_promises_more_than_deflate_can_hold_is_damaged(npz):
    with_directory_field(npz, 24, 40 << 20)
    assert fault_of(npz) is Defect.BAD_CRC


@pytest.mark.parametrize("size", [49 << 20, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_member_that_claims_more_than_its_bound_is_not_inflated(npz, size):
    with_directory_field(npz, 24, size)
    assert fault_of(npz) is Defect.TOO_LARGE
    assert NpzFile(npz).read("b").tolist() == [0, 1, 2]


def test_a_stream_that_goes_on_behind_its_claim_is_not_inflated_further(tmp_path):
    path = tmp_path / "ev001.npz"
    np.savez_compressed(path, a=np.zeros(200 << 20, np.uint8))
    with_directory_field(path, 24, 1000)
    tracemalloc.start()
    assert fault_of(path) is Defect.BAD_CRC
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 << 20


def test_bounds_are_settings_of_the_reader(npz):
    assert NpzFile(npz, Bounds(file=1 << 20, member=41_000)).read("a").size == 5000
    for bounds in (Bounds(file=npz.stat().st_size - 1, member=1 << 20), Bounds(1 << 20, 39_000)):
        with pytest.raises(ShardError) as caught:
            NpzFile(npz, bounds).read("a")
        assert caught.value.defect is Defect.TOO_LARGE


def test_a_member_that_is_there_twice_is_named_and_the_others_are_read(npz):
    with zipfile.ZipFile(npz, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.npy", archive.read("b.npy"))
    assert fault_of(npz) is Defect.DUPLICATE_MEMBER
    assert NpzFile(npz).read("b").tolist() == [0, 1, 2]


def test_an_encrypted_member_is_refused(npz):
    with_directory_field(npz, 8, 1, size=2)
    assert fault_of(npz) is Defect.UNREADABLE_FILE


def test_members_that_share_their_bytes_are_refused(npz):
    with_directory_field(npz, 42, 0, member=1)
    assert fault_of(npz, "a") is Defect.BAD_CRC
    assert fault_of(npz, "b") is Defect.BAD_CRC


def test_a_member_that_reaches_into_the_next_is_refused(tmp_path):
    path = tmp_path / "ev001.npz"
    np.savez(path, a=np.arange(5), b=np.arange(3))
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("a.npy").file_size
    for offset in (20, 24):
        with_directory_field(path, offset, size + 8)
    assert fault_of(path, "a") is Defect.BAD_CRC
    assert NpzFile(path).read("b").tolist() == [0, 1, 2]


def test_a_directory_of_a_million_entries_is_not_read(tmp_path):
    path = tmp_path / "ev001.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70_000):  # beyond 65 535 the end of the archive is zip64
            archive.writestr(zipfile.ZipInfo(f"{number}"), b"")
    assert fault_of(path) is Defect.UNREADABLE_FILE


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
def test_what_is_no_file_is_refused_without_waiting(tmp_path, kind):
    path = tmp_path / "ev001.npz"
    with socket.socket(socket.AF_UNIX) as server:
        make = {"folder": os.mkdir, "pipe": os.mkfifo, "socket": server.bind}[kind]
        make(os.fspath(path))
        with pytest.raises(DataError, match="belongs") as caught:
            NpzFile(path)
    assert not isinstance(caught.value, ShardError)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_flipped_bytes_never_give_other_content_or_a_traceback(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "ev001.npz"
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.arange(20), b=np.zeros(4, "<f4"))
    changed = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    for name, content in (("a", np.arange(20)), ("b", np.zeros(4, "<f4"))):
        try:
            found = NpzFile(path).read(name)
        except ShardError:
            continue
        np.testing.assert_array_equal(found, content)
