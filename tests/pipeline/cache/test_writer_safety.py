"""Writers that are killed, meet each other, fill the disk, or read for long."""

import multiprocessing
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kill_writer import content, is_building, kill_writers
from pipeline.cache.lock import BusyError, Part
from pipeline.cache.reader import PillarCache
from pipeline.cache.records import BUILDING
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError
from pipeline.release.shards import shard_path, walk_release
from pipeline.voxelizing.run import voxelize
from tests.pipeline.releases import write_recording
from tests.pipeline.voxelized import RECORDING, SETTINGS, run

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "release"
    for k in range(5):
        write_recording(
            root, f"train/trainfilelist00/rec_{k}", (1, 2), events_per_window=4000, seed=k
        )
    return root


@pytest.fixture(scope="module")
def calm(release) -> dict[str, str]:
    """Content of a cache whose writer nobody disturbed."""
    run(release, release.parent / "calm")
    return content(release.parent / "calm")


def test_killed_writers_leave_whole_recordings_and_the_next_run_completes_the_cache(
    release, tmp_path
):
    # `python -m benchmarks.kill_writer` does the same fifty times, and with several workers.
    result = kill_writers(release, tmp_path, SETTINGS, kills=10, seed=4)
    assert result.kills == 10
    assert result.building > 0
    assert result.rounds > 0


def write_and_tell(release: Path, cache: Path, part: Part | None, start, told) -> None:
    files = walk_release(release)
    start.wait()
    try:
        voxelize(
            part.share(files) if part else files, lambda _: (1280, 720), cache, SETTINGS, part=part
        )
    except BusyError as error:
        told.put(str(error))
    else:
        told.put("")


def at_once(release: Path, cache: Path, parts: list[Part | None]) -> list[str]:
    """Writers that begin at the same time; the sentences of those refused, empty for the others."""
    start, told = CONTEXT.Barrier(len(parts)), CONTEXT.SimpleQueue()
    processes = [
        CONTEXT.Process(target=write_and_tell, args=(release, cache, part, start, told))
        for part in parts
    ]
    for process in processes:
        process.start()
    sentences = [told.get() for _ in parts]
    for process in processes:
        process.join()
    return sorted(sentences)


def test_of_two_writers_at_once_one_is_refused_and_the_cache_is_as_ever(release, calm, tmp_path):
    completed, refused = at_once(release, tmp_path / "c", [None, None])
    assert completed == ""
    assert "another process is writing this cache" in refused
    assert content(tmp_path / "c") == calm


def test_parts_at_once_make_the_cache_together_even_where_they_do_the_same(release, calm, tmp_path):
    parts: list[Part | None] = [Part(1, 2), Part(2, 2), Part(1, 1)]
    assert at_once(release, tmp_path / "c", parts) == [""] * 3
    assert content(tmp_path / "c") == calm


def test_a_killed_part_is_made_up_for_by_running_it_again(release, calm, tmp_path):
    cache = tmp_path / "c"
    start, told = CONTEXT.Barrier(1), CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=write_and_tell, args=(release, cache, Part(1, 2), start, told))
    process.start()
    while not is_building(cache):
        assert process.is_alive()
    process.kill()
    process.join()
    assert at_once(release, cache, [Part(1, 2), Part(2, 2)]) == ["", ""]
    assert content(cache) == calm


@pytest.fixture
def small_disk(release, calm, tmp_path) -> Iterator[Path]:
    """A file system that has room for half of the cache."""
    pages = sum(-(-path.stat().st_size // 4096) for path in (release.parent / "calm").rglob("*"))
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={2 * pages}k", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_sentence_and_room_is_all_that_the_next_run_needs(
    release, calm, small_disk
):
    cache = small_disk / "c"
    with pytest.raises(CacheError, match="No space left on device; make room") as caught:
        run(release, cache)
    assert len(str(caught.value).splitlines()) == 1
    published = content(cache)
    assert not (cache / BUILDING).exists()
    assert published.items() <= calm.items()
    assert 0 < len(PillarCache(cache).recording_ids) < 5
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    run(release, cache)
    assert content(cache) == calm


def test_a_disk_full_from_the_start_leaves_not_even_a_folder(release, small_disk):
    room = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_bsize))
    with pytest.raises((CacheError, OSError), match="No space left on device"):
        run(release, small_disk / "c")
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def _write_limited(release: Path, cache: Path, told) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        run(release, cache)
    except CacheError as error:
        told.put(str(error))


def test_a_file_too_large_for_its_disk_is_one_sentence_and_leaves_nothing(release, tmp_path):
    told = CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=_write_limited, args=(release, tmp_path / "c", told))
    process.start()
    assert "File too large; make room" in told.get()
    process.join()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["zarr.json"]


def _peak_megabytes(release: Path, cache: Path, told) -> None:
    run(release, cache, CacheSettings())
    told.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def test_memory_does_not_grow_with_a_recording_s_length(tmp_path):
    # One shard under many numbers: it costs what as many shards cost.
    write_recording(tmp_path / "short", RECORDING, (1,), events_per_window=60_000)
    peaks, rows = [], []
    for name, shards in (("short", 6), ("long", 30)):
        for kind in ("events", "labels"):
            first = shard_path(tmp_path / "short", RECORDING, 1, kind)
            for number in range(1, shards + 1):
                path = shard_path(tmp_path / name, RECORDING, number, kind)
                path.parent.mkdir(parents=True, exist_ok=True)
                if path != first:
                    os.link(first, path)
        told = CONTEXT.SimpleQueue()
        cache = tmp_path / f"{name}_cache"
        process = CONTEXT.Process(target=_peak_megabytes, args=(tmp_path / name, cache, told))
        process.start()
        peaks.append(told.get())
        process.join()
        rows.append(PillarCache(cache).recording(RECORDING).array_length("pillars"))
    assert peaks[1] < 500
    collected = 9 * (rows[1] - rows[0]) / 1e6  # megabytes of the pillars alone: 4 + 4 + 1 bytes
    assert peaks[1] - peaks[0] < collected / 4
