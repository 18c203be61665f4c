"""The member reader agrees with numpy on sound files and names every fault of the others."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.defects import Defect
from pipeline.errors import ShardError
from pipeline.release.npz import NpzFile
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
    import zipfile

    path = tmp_path / "ev001.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"no array at all")
    assert fault_of(path) is Defect.UNREADABLE_FILE


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "ev001.npz"
    with path.open("wb") as file:
        np.savez_compressed(file, a=np.array([{"x": 1}], dtype=object))
    assert fault_of(path) is Defect.WRONG_DTYPE


def test_a_missing_member_and_a_missing_file_are_named(npz, tmp_path):
    assert fault_of(npz, "e9") is Defect.MISSING_MEMBER
    assert fault_of(tmp_path / "ev002.npz") is Defect.MISSING_EVENT_FILE
    assert fault_of(tmp_path / "lb002.npz") is Defect.MISSING_LABEL_FILE


def test_a_member_that_promises_more_than_deflate_can_hold_is_refused(npz):
    data = npz.read_bytes()
    stored = io.BytesIO()
    np.lib.format.write_array(stored, np.arange(5000))
    length = len(stored.getvalue()).to_bytes(4, "little")
    npz.write_bytes(data.replace(length, b"\xff\xff\xff\x7f"))
    assert fault_of(npz) in (Defect.BAD_CRC, Defect.UNREADABLE_FILE)
