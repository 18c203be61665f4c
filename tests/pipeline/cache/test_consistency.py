"""What does not fit is refused before anything is indexed by it, whatever the digests say."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.consistency import misfit_of_pillars
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import verify_cache
from pipeline.errors import CacheError, DataError
from pipeline.pillars.settings import PillarSettings
from pipeline.pillars.unpacking import decode_points
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_a"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_recording(root, RECORDING, shards=(1,))
    settings = CacheSettings(grid=(64, 64))
    return Path(make_cache(root, root.parent / f"{root.name}-cache", settings).location)


def sign(recording: Path, **changes: object) -> None:
    """Digests that fit, as a faulty writer or a stranger would give them."""
    path = recording / "zarr.json"
    attributes = {**json.loads(path.read_text())["attributes"], **changes}
    store = PillarCache(recording.parents[2]).store
    attributes["digests"] = {
        name: store.array_digest(f"{attributes['recording']}/{name}") for name in layout.ARRAYS
    }
    attributes["digest"] = layout.attributes_digest(attributes)
    path.write_bytes(layout.group_document(attributes))


def column(name: str) -> int:
    return layout.WINDOW_COLUMNS.index(name)


@pytest.mark.parametrize(
    ("array", "place", "value", "saying"),
    [
        ("offsets", (0, 0), 1, "'offsets' does not number"),
        ("offsets", (3, 1), -5, "'offsets' does not number"),
        ("offsets", (4, 0), 1 << 40, "'offsets' does not number"),
        ("offsets", (20, 0), 1 << 40, "'pillars' has"),
        ("label_offsets", (2, 1), -1, "'label_offsets' does not number"),
        ("label_offsets", (10, 1), 1 << 40, "'labels' has"),
        ("windows", (0, column("member")), 10, "'member'"),
        ("windows", (3, column("span")), -1, "'span'"),
        ("windows", (3, column("starts")), 2, "'starts'"),
        ("windows", (3, column("events_read")), 1 << 60, "'events_read'"),
        ("labels", (0, 0), 5, "another window"),
        ("labels", (0, 5), 7, "'class'"),
        ("labels", (0, 5), 0.5, "'class'"),
        ("labels", (0, 6), np.nan, "'track_id'"),
        ("labels", (0, 1), np.inf, "not within the grid"),
        ("labels", (0, 1), np.nan, "not within the grid"),
        ("labels", (0, 3), 65.0, "not within the grid"),
        ("labels", (0, 2), 63.99, "not within the grid"),
        ("labels", (0, 7), 1e6, "'raw_row'"),
        ("labels_raw", (0, 6), 1e300, "'class_id'"),
        ("pillars", (0,), 0, "1 to 5 points"),
        ("pillars", (0,), 7, "1 to 5 points"),
        ("pillars", (5,), 1 << 31 | 1, "outside the grid"),
        ("pillars", (5,), 3, "other points than there are"),
    ],
)
def test_a_table_that_leads_out_of_an_array_is_one_sentence(
    folder, tmp_path, array, place, value, saying
):
    copy = shutil.copytree(folder, tmp_path / "cache")
    stored = zarr.open_array(copy / RECORDING / array, mode="r+")
    stored[place] = value
    sign(copy / RECORDING)
    with pytest.raises(CacheError, match=RECORDING) as raised:
        PillarCache(copy).recording(RECORDING).read(0, 10)
    assert saying in str(raised.value)
    assert any(saying in finding.message for finding in verify_cache(copy))


def test_a_batch_id_of_another_window_is_found(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "cache")
    stored = zarr.open_array(copy / RECORDING / "batch_id", mode="r+")
    stored[3] = 9
    sign(copy / RECORDING)
    (finding,) = verify_cache(copy)
    assert "'batch_id' has another window's number" in finding.message


def test_another_number_of_windows_is_one_sentence(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "cache")
    sign(copy / RECORDING, windows=9)
    with pytest.raises(CacheError, match="'windows' has another length"):
        PillarCache(copy).recording(RECORDING).read(0, 9)
    assert verify_cache(copy)


@given(data=st.data())
def test_pillars_that_pass_decode_within_the_grid(data):
    settings = PillarSettings(grid=(3, 2), max_points=3)
    words = st.integers(0, 2**32 - 1) | st.integers(0, 40)
    pillars = np.array(data.draw(st.lists(words, max_size=6)), np.uint32)
    cut, points = data.draw(st.integers(0, len(pillars))), data.draw(st.integers(0, 9))
    split = data.draw(st.integers(0, points))
    offsets = np.array([[0, 0], [cut, split], [len(pillars), points]])
    encoding = CacheSettings(grid=(3, 2), max_points=3).encoding((1280, 720))
    fits = misfit_of_pillars(pillars, offsets, settings) is None
    try:
        for (p0, q0), (p1, q1) in pairwise(offsets):
            decode_points(pillars[p0:p1], np.zeros(q1 - q0, np.uint8), 1, encoding)
        decodes = True
    except DataError:
        decodes = False
    assert fits == decodes
