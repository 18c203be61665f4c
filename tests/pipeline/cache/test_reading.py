"""Reading a cache from several processes, threads and places, and when something is broken."""

import multiprocessing
import pickle
import random
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cache import records as layout
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.cache.verify import verify_cache
from pipeline.errors import CacheError, PipelineError, UsageError
from pipeline.statistics.info import cache_info
from tests.pipeline.caches import make_cache
from tests.pipeline.reading import LineFileSystem, digests, put_digests
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_a"
UNLABELLED = "val/valfilelist00/rec_b"
RANGES = [(0, 1), (7, 9), (3, 20), (19, 20), (0, 20), (12, 13)]


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_recording(root, RECORDING, events_per_window=30_000)  # more than one chunk of pillars
    write_recording(root, UNLABELLED, shards=(1,), boxes_per_window=0, seed=2)
    return root


@pytest.fixture(scope="module")
def folder(release, tmp_path_factory) -> Path:
    return Path(make_cache(release, tmp_path_factory.mktemp("caches") / "cache").location)


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    """A cache to damage."""
    return shutil.copytree(folder, tmp_path / "cache")


@pytest.fixture
def line(folder):
    """Address of the cache behind a connection, which is whole again afterwards."""
    fsspec.register_implementation("line", LineFileSystem, clobber=True)
    yield f"line:/{folder}"
    LineFileSystem.is_cut = False


@pytest.fixture(scope="module")
def expected(folder) -> list[str]:
    return digests(PillarCache(folder).recording(RECORDING), RANGES)


def test_the_recording_has_several_chunks(folder):
    pillars = PillarCache(folder).recording(RECORDING).array("pillars")
    assert pillars.shape[0] > 2 * pillars.chunks[0]


@settings(max_examples=30)
@given(data=st.data())
def test_any_range_is_a_slice_of_the_whole(folder, data):
    recording = PillarCache(folder).recording(RECORDING)
    whole = recording.read(0, len(recording))
    start = data.draw(st.integers(0, len(recording) - 1))
    stop = data.draw(st.integers(start + 1, len(recording)))
    part = recording.read(start, stop)
    (p0, q0), (p1, q1) = whole.offsets[[2 * start, 2 * stop]]
    np.testing.assert_array_equal(part.pillars, whole.pillars[p0:p1])
    np.testing.assert_array_equal(part.points, whole.points[q0:q1])
    here = (whole.box_window >= start) & (whole.box_window < stop)
    np.testing.assert_array_equal(part.boxes, whole.boxes[here])
    np.testing.assert_array_equal(part.box_window, whole.box_window[here] - start)
    np.testing.assert_array_equal(part.t_start, whole.t_start[start:stop])


def in_children(method: str, recording: CachedRecording, count: int) -> list[list[str]]:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [
        context.Process(target=put_digests, args=(queue, recording, RANGES)) for _ in range(count)
    ]
    for child in children:
        child.start()
    found = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join(timeout=60)
    assert [child.exitcode for child in children] == [0] * count
    return found


@pytest.mark.parametrize(
    ("method", "place"), [("fork", "path"), ("spawn", "path"), ("fork", "line")]
)
def test_children_read_what_their_parent_reads(method, place, folder, line, expected):
    recording = PillarCache(folder if place == "path" else line).recording(RECORDING)
    assert digests(recording, RANGES) == expected  # with handles open when the children start
    assert in_children(method, recording, 2) == [expected] * 2


def test_children_forked_while_threads_read_do_not_hang(folder, expected):
    cache = PillarCache(folder)
    done = threading.Event()

    def keep_reading():
        while not done.is_set():
            digests(PillarCache(folder).recording(RECORDING), RANGES[:2])
            digests(cache.recording(RECORDING), RANGES[:2])

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(keep_reading) for _ in range(2)]
        try:
            for _ in range(3):
                assert in_children("fork", cache.recording(RECORDING), 2) == [expected] * 2
        finally:
            done.set()
        for reader in readers:
            reader.result()


def test_many_threads_share_one_reader(folder, expected):
    for _ in range(3):
        cache = PillarCache(folder)  # nothing is open yet: all threads open the same things at once
        start = threading.Barrier(12)

        def read(seed: int, cache=cache, start=start) -> bool:
            start.wait()
            order = random.Random(seed).sample(range(len(RANGES)), len(RANGES))
            recording = cache.recording(RECORDING)
            found = digests(recording, [RANGES[k] for k in order])
            return found == [expected[k] for k in order]

        with ThreadPoolExecutor(12) as pool:
            assert all(pool.map(read, range(12)))


def test_readers_are_pickled_without_what_they_hold_open(folder, expected):
    cache = PillarCache(folder)
    recording = cache.recording(RECORDING)
    digests(recording, RANGES)
    assert len(pickle.dumps(recording)) < 1000
    assert digests(pickle.loads(pickle.dumps(recording)), RANGES) == expected
    assert pickle.loads(pickle.dumps(cache)).recording_ids == cache.recording_ids


def test_tables_that_readers_share_cannot_be_written_to(folder):
    with pytest.raises(ValueError, match="read-only"):
        PillarCache(folder).recording(RECORDING).window_column("span")[0] = 1


@pytest.mark.parametrize("place", ["memory", "file", "line"])
def test_addresses_read_like_the_folder(place, folder, line, expected):
    if place == "memory":
        location = "memory://somewhere/cache"
        fsspec.filesystem("memory").put(str(folder), "/somewhere/cache", recursive=True)
    else:
        location = {"file": f"file://{folder}", "line": line}[place]
    cache = PillarCache(location)
    assert cache.recording_ids == PillarCache(folder).recording_ids
    assert digests(cache.recording(RECORDING), RANGES) == expected
    assert verify_cache(location) == []
    assert cache_info(cache) == cache_info(PillarCache(folder))


@pytest.mark.parametrize(
    ("location", "error", "saying"),
    [
        ("nowhere/cache", UsageError, "no such cache"),
        ("memory://nowhere/cache", CacheError, "not a pillar cache"),
        ("telegraph://host/cache", UsageError, "telegraph"),
    ],
)
def test_a_place_without_a_cache_is_named(location, error, saying):
    with pytest.raises(error, match=saying) as raised:
        PillarCache(location)
    assert location in str(raised.value)


def test_a_broken_connection_is_one_sentence(line):
    cache = PillarCache(line)
    recording = cache.recording(RECORDING)
    recording.read(0, 1)
    LineFileSystem.is_cut = True
    for reading in (
        lambda: recording.read(1, 2),
        lambda: cache.recording(UNLABELLED),
        lambda: PillarCache(line).recording_ids,
        lambda: cache.store.array_digest(f"{RECORDING}/points"),
    ):
        with pytest.raises(
            CacheError, match=r"\(connection reset by peer\); check that it can be reached"
        ) as raised:
            reading()
        assert "\n" not in str(raised.value)


def read_everything(location: Path) -> None:
    cache = PillarCache(location)
    for recording in cache.recordings():
        recording.read(0, len(recording))
        for name in layout.ARRAYS:
            recording.table(name)


def test_arrays_of_zeros_alone_read_as_zeros(folder):
    recording = PillarCache(folder).recording(UNLABELLED)
    assert not recording.table("label_offsets").any()
    assert len(recording.read(2, 5).boxes) == 0


def test_a_lost_file_is_an_error_and_never_zeros(copy):
    lost = 0
    for path in sorted(p for p in (copy / RECORDING).rglob("*") if p.is_file()):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(PipelineError, match=RECORDING):
            read_everything(copy)
        path.write_bytes(content)
        lost += "/c/" in path.as_posix()
    assert lost >= len(layout.ARRAYS) + 2
    read_everything(copy)


def test_a_chunk_lost_while_reading_is_an_error(copy):
    recording = PillarCache(copy).recording(RECORDING)
    recording.read(0, 1)
    shutil.rmtree(copy / RECORDING)
    with pytest.raises(CacheError, match="'pillars' lacks a chunk"):
        recording.read(0, 1)


def test_a_truncated_chunk_is_an_error(copy):
    for path in sorted(p for p in (copy / RECORDING).rglob("*") if "/c/" in p.as_posix()):
        if path.is_file():
            content = path.read_bytes()
            for length in (0, 7, len(content) // 2, len(content) - 1):
                path.write_bytes(content[:length])
                with pytest.raises(CacheError, match="cannot be read"):
                    read_everything(copy)
            path.write_bytes(content)


@settings(max_examples=100)
@given(data=st.data())
def test_one_flipped_byte_in_a_chunk_is_an_error_at_reading(folder, data):
    files = [p for p in (folder / RECORDING).rglob("*") if p.is_file() and "/c/" in p.as_posix()]
    path = folder / data.draw(st.sampled_from([p.relative_to(folder) for p in sorted(files)]))
    sound = path.read_bytes()
    damaged = bytearray(sound)
    damaged[data.draw(st.integers(0, len(sound) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(damaged)
        with pytest.raises(CacheError, match="cannot be read"):
            read_everything(folder)
    finally:
        path.write_bytes(sound)


def test_an_array_that_was_cut_short_is_an_error(copy):
    zarr.open_array(copy / RECORDING / "pillars", mode="r+").resize((5,))
    with pytest.raises(CacheError, match="'pillars' has 5 rows, too few"):
        PillarCache(copy).recording(RECORDING).read(10, 12)


def test_a_damaged_recording_does_not_keep_the_others_from_being_read(copy):
    (copy / RECORDING / "zarr.json").write_text("{")
    cache = PillarCache(copy)
    assert cache.recording_ids == (RECORDING, UNLABELLED)
    cache.recording(UNLABELLED).read(0, 10)
    with pytest.raises(CacheError, match=r"zarr\.json cannot be read"):
        cache.recording(RECORDING)


def test_attributes_that_were_edited_or_moved_are_refused(copy):
    path = copy / RECORDING / "zarr.json"
    text = path.read_text()
    path.write_text(text.replace('"windows": 20', '"windows": 19'))
    with pytest.raises(CacheError, match="attributes do not match"):
        PillarCache(copy).recording(RECORDING)
    path.write_text(text)
    (copy / RECORDING).rename(copy / f"{RECORDING}_copy")
    with pytest.raises(CacheError, match="attributes do not match"):
        PillarCache(copy).recording(f"{RECORDING}_copy")


def test_opening_with_other_settings_names_the_key_and_both_values(folder):
    assert PillarCache(folder, CacheSettings()).settings == CacheSettings()
    with pytest.raises(CacheError, match=r"max_points = 5, this run asks for 3; use"):
        PillarCache(folder, CacheSettings(max_points=3))


def test_looking_at_a_cache_writes_nothing(folder, tmp_path):
    # Permissions do not bind the superuser, so every attempt to write is an error here instead.
    code = """
import os, sys

def no_writing(event, arguments):
    changes = event in ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.utime")
    opens = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if (changes or opens) and str(arguments[0]).startswith(sys.argv[1]):
        raise PermissionError(f"{event} {arguments}")

from pipeline.cache.reader import PillarCache
from pipeline.statistics.info import cache_info
from pipeline.cache.verify import verify_cache
sys.addaudithook(no_writing)
cache = PillarCache(sys.argv[1])
assert all(recording.read(0, 10).pillars.any() for recording in cache.recordings())
assert verify_cache(sys.argv[1]) == [] and cache_info(cache)["recordings"] == 2
try:
    open(sys.argv[1] + "/new", "w")
except PermissionError:
    print("nothing was written")
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert result.stdout == "nothing was written\n"


def test_opening_a_cache_imports_neither_the_writer_nor_a_compiler(folder):
    code = """
import sys

from pipeline.cache import PillarCache

cache = PillarCache(sys.argv[1])
windows = cache.recordings()[0].read(0, 10)
heavy = ("numba", "dask", "distributed", "torch", "h5py", "pandas", "matplotlib", "zarr", "fsspec")
loaded = {name.split(".")[0] for name in sys.modules}
assert not loaded.intersection(heavy), loaded.intersection(heavy)
assert "pipeline.cache.writer" not in sys.modules
assert len(windows.tensors(0, 1).points)
assert "numba" in sys.modules  # decoding compiles
print("alone")
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert result.stdout == "alone\n"
