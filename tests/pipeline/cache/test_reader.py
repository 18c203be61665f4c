"""The cache as readers meet it: exact content, typed refusals, safe publication."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.cache import records as layout
from pipeline.cache.lock import open_for_writing
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.cache.writer import RecordingWriter
from pipeline.errors import CacheError, UsageError
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.pillars.unpacking import decode_points
from pipeline.release.labels import apply_label_rules
from pipeline.release.members import read_events, read_labels
from pipeline.release.npz import NpzFile
from pipeline.release.shards import shard_path, walk_release
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_a"
SENSOR = (1280, 720)


def build(root: Path, cache: Path, settings: CacheSettings) -> PillarCache:
    voxelize(walk_release(root), lambda recording: SENSOR, cache, settings)
    return PillarCache(cache)


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_recording(root, RECORDING, shards=(1, 2, 4))
    write_recording(root, "test/testfilelist00/rec_b", shards=(1,), seed=2)
    return root


@pytest.fixture(
    scope="module",
    params=[("release", 0), ("paper", 0), ("paper", 256)],
    ids=lambda p: f"{p[0]}-{p[1]}",
)
def cache(request, release, tmp_path_factory) -> PillarCache:
    preset, time_steps = request.param
    settings = CacheSettings(preset=preset, time_steps=time_steps)
    return build(release, tmp_path_factory.mktemp("cache") / "c", settings)


def test_golden_shard_gives_the_golden_sample(golden, tmp_path):
    # From npz files through the cache to tensors: exact; boxes to 1e-4 grid units.
    cache = build(golden / "shard", tmp_path / "c", CacheSettings())
    recording = cache.recordings()[0]
    sample = recording.read(0, len(recording))
    with np.load(golden / "shard_getitem.npz") as arrays:
        for window in range(len(sample)):
            for polarity, name in ((0, "neg"), (1, "pos")):
                a, b = arrays[f"{name}_offsets"][window : window + 2]
                coords = arrays[f"{name}_coors"][a:b]
                order = np.lexsort(coords.T[::-1])  # the reference's order is not defined
                found = sample.tensors(window, polarity)
                np.testing.assert_array_equal(found.points, arrays[f"{name}_voxels"][a:b][order])
                np.testing.assert_array_equal(found.coords, coords[order])
            expected = arrays["boxes"][window]
            expected = expected[expected[:, 4] >= 0]
            here = sample.box_window == window
            np.testing.assert_allclose(sample.boxes[here], expected[:, :4], atol=1e-4)
            np.testing.assert_array_equal(sample.classes[here], expected[:, 4])


def test_every_window_is_what_its_shard_holds(cache, release):
    recording = cache.recording(RECORDING)
    workspace = Workspace(recording.encoding)
    rules = cache.settings.label_rules(SENSOR)
    assert len(recording) == 30
    for k in range(len(recording)):
        shard, member = recording.table("windows")[k, :2]
        files = [
            NpzFile(shard_path(release, RECORDING, shard, kind)) for kind in ("events", "labels")
        ]
        packed = pack_window(read_events(files[0], member), workspace)
        kept = apply_label_rules(read_labels(files[1], member), rules)
        sample = recording.read(k, k + 1)
        for polarity in (0, 1):
            expected = decode_points(
                packed.pillars[polarity], packed.points[polarity], packed.span, workspace.encoding
            )
            np.testing.assert_array_equal(sample.tensors(0, polarity).points, expected.points)
        np.testing.assert_array_equal(sample.boxes, kept.boxes)
        np.testing.assert_array_equal(sample.classes, kept.classes)


def test_a_range_is_its_windows_one_after_the_other(cache):
    recording = cache.recording(RECORDING)
    sample = recording.read(7, 13)
    for k in range(6):
        alone = recording.read(7 + k, 8 + k)
        for polarity in (0, 1):
            np.testing.assert_array_equal(
                sample.tensors(k, polarity).points, alone.tensors(0, polarity).points
            )
        np.testing.assert_array_equal(sample.boxes[sample.box_window == k], alone.boxes)


def test_a_missing_shard_starts_a_new_sequence(cache):
    recording = cache.recording(RECORDING)  # shards 1, 2 and 4
    assert np.flatnonzero(recording.window_column("starts")).tolist() == [0, 20]


def test_plain_zarr_finds_pillars_with_batch_ids_and_named_columns(cache):
    group = zarr.open_group(cache.location, mode="r")[RECORDING]
    assert set(group.array_keys()) == set(layout.ARRAYS)
    offsets, batch_id = group["offsets"][:], group["batch_id"][:]
    for window in range(30):
        a, b = offsets[2 * window, 0], offsets[2 * window + 2, 0]
        assert (batch_id[a:b] == window).all()
    assert offsets[-1].tolist() == [len(batch_id), group["points"].shape[0]]
    columns = group["labels"].attrs["columns"]
    raw = group["labels_raw"][:]
    kept = group["labels"][:]
    rows = kept[:, columns.index("raw_row")].astype(int)
    np.testing.assert_array_equal(raw[rows, 0], kept[:, 0])
    assert len(raw) == 90


def test_splits_are_listed_in_order(cache):
    assert [r.split for r in cache.recordings()] == ["train", "test"]
    assert [r.id for r in cache.recordings("test")] == ["test/testfilelist00/rec_b"]


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (5, 5), (28, 31)])
def test_windows_that_do_not_exist_are_a_usage_error(cache, start, stop):
    with pytest.raises(UsageError, match="it has 30"):
        cache.recording(RECORDING).read(start, stop)


def test_an_unknown_recording_is_a_usage_error(cache):
    with pytest.raises(UsageError, match="no recording 'train/x/y'"):
        cache.recording("train/x/y")


def test_what_is_not_a_cache_is_refused(tmp_path, release):
    with pytest.raises(UsageError, match="no such cache"):
        PillarCache(tmp_path / "nothing")
    with pytest.raises(CacheError, match="not a pillar cache"):
        PillarCache(release)
    zarr.create_group(tmp_path / "other")
    with pytest.raises(CacheError, match="not a pillar cache"):
        PillarCache(tmp_path / "other")


def test_a_second_writer_is_refused(tmp_path):
    with (
        open_for_writing(tmp_path / "c", CacheSettings()),
        pytest.raises(CacheError, match="another process"),
        open_for_writing(tmp_path / "c", CacheSettings()),
    ):
        pass


def test_a_folder_with_other_content_is_not_written_to(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear reader")
    with (
        pytest.raises(UsageError, match="not empty and not a cache"),
        open_for_writing(tmp_path, CacheSettings()),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_unpublished_recording_is_invisible_and_leaves_nothing(tmp_path):
    settings = CacheSettings()
    with (
        open_for_writing(tmp_path / "c", settings) as scratch,
        RecordingWriter(tmp_path / "c", RECORDING, SENSOR, settings, scratch),
    ):
        assert PillarCache(tmp_path / "c").recording_ids == ()
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["zarr.json"]


DOCUMENT = Path(__file__).parents[3] / "docs" / "cache.md"


def documented(number: int, **names: object) -> dict:
    """Run one of the document's blocks of Python; gives its names."""
    exec(DOCUMENT.read_text().split("```python\n")[number].split("```")[0], names)
    return names


def test_the_documented_lines_decode_a_window_with_zarr_alone(cache):
    expected = cache.recording(RECORDING).read(17, 18).tensors(0, 1)
    names = documented(
        1,
        location=cache.location,
        recording_id=RECORDING,
        window=17,
        polarity=1,
        columns=cache.settings.grid[0],
        rows=cache.settings.grid[1],
    )
    cells = np.stack([names["z"], names["y"], names["x"]], 1)
    np.testing.assert_array_equal(cells, expected.coords)
    np.testing.assert_array_equal(names["num_points"], expected.num_points)
    used = np.arange(expected.points.shape[1]) < expected.num_points[:, None]
    points, encoding = names["points"].astype(np.int64), cache.recording(RECORDING).encoding
    if encoding.settings.preset == "release":
        place = names["x"][names["pillar"]], names["y"][names["pillar"]], points
        np.testing.assert_array_equal(np.stack(place, 1), expected.points[used])
    else:
        span = int(cache.recording(RECORDING).read(17, 18).spans[0])
        factor, addend, divisor = encoding.time_scale(span)
        times = (factor * (points >> sum(encoding.sub_bits)) + addend) / divisor
        np.testing.assert_array_equal(times.astype(np.float32), expected.points[used][:, 2])


def test_the_documented_lines_read_windows(cache):
    names = documented(2, location=cache.location, recording_id=RECORDING)
    expected = cache.recording(RECORDING).read(12, 13)
    np.testing.assert_array_equal(names["positive"].points, expected.tensors(0, 1).points)
    np.testing.assert_array_equal(names["boxes"], expected.boxes)


def test_the_documented_arrays_are_those_of_the_store(cache):
    section = DOCUMENT.read_text().split("## Arrays of a recording")[1].split("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if "| `" in line]
    assert [name.strip(" `") for name, _ in rows] == list(layout.ARRAYS)
    for name, kind in rows:
        array = cache.recording(RECORDING).array(name.strip(" `"))
        dtype, shape, _ = kind.split("`")
        assert dtype.strip() in (str(array.dtype), "")  # that of the points depends on the preset
        assert tuple(map(int, shape.strip("[]").split(",")[1:])) == array.shape[1:]
