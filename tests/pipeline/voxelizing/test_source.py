"""What a manifest or a folder asks `voxelize` to do, and which of its files must be on disk."""

import shutil
from pathlib import Path

import pytest

from pipeline.cache.lock import Part
from pipeline.errors import CacheError, ManifestError
from pipeline.release.sensors import write_sensor
from pipeline.release.shards import shard_path
from pipeline.selection.manifest import read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.voxelizing.run import voxelize
from pipeline.voxelizing.source import open_source
from tests.pipeline.releases import write_recording
from tests.pipeline.voxelized import SETTINGS

IDS = [f"train/trainfilelist0{k}/rec" for k in range(4)]


@pytest.fixture
def release(tmp_path) -> Path:
    root = tmp_path / "release"
    for k, key in enumerate(IDS):
        write_recording(root, key, shards=(1,), events_per_window=20, seed=k)
    write_sensor(root, IDS[1], (640, 480))
    return root


@pytest.fixture
def manifest(release, tmp_path) -> Path:
    path = tmp_path / "manifest.json"
    write_manifest(scan_release(release), path)
    return path


def make(source, cache: Path) -> list[str]:
    report = voxelize(source.recordings, source.sensor_of, cache, SETTINGS)
    return [recording.recording for recording in report.made]


def remove(release: Path, key: str) -> None:
    for kind in ("events", "labels"):
        shutil.rmtree(shard_path(release, key, 1, kind).parent)


def ids(source) -> list[str]:
    return [files.id for files in source.recordings]


def test_a_folder_and_its_manifest_ask_for_the_same(release, manifest, tmp_path):
    folder, listed = (open_source(path, tmp_path / "c") for path in (release, manifest))
    assert folder.recordings == listed.recordings
    assert folder.sensor_of(IDS[1]) == listed.sensor_of(IDS[1]) == (640, 480)
    assert folder.waiting == listed.waiting == []


@pytest.mark.parametrize("kind", ["folder", "manifest"])
def test_parts_divide_what_is_asked_for(release, manifest, tmp_path, kind):
    path = release if kind == "folder" else manifest
    shares = [ids(open_source(path, tmp_path / "c", part=Part(k, 3))) for k in (1, 2, 3)]
    assert shares == [[IDS[0], IDS[3]], [IDS[1]], [IDS[2]]]


def test_a_manifest_works_on_when_sources_of_complete_recordings_are_deleted(
    release, manifest, tmp_path
):
    cache = tmp_path / "c"
    kept = tmp_path / "kept"
    shutil.copytree(release, kept)
    for key in IDS[1:]:
        remove(release, key)
    made = make(open_source(manifest, cache, skip_missing=True), cache)
    assert made == IDS[:1]
    remove(release, IDS[0])  # voxelized, so deleted; the next ones are downloaded
    for key in IDS[1:]:
        for kind in ("events", "labels"):
            target = shard_path(release, key, 1, kind)
            target.parent.mkdir(parents=True)
            shutil.copyfile(shard_path(kept, key, 1, kind), target)
    source = open_source(manifest, cache)
    assert source.waiting == []
    assert make(source, cache) == IDS[1:]
    shutil.rmtree(release)
    assert make(open_source(manifest, cache), cache) == []


def test_files_of_recordings_still_to_do_must_be_there_whole(release, manifest, tmp_path):
    events = shard_path(release, IDS[2], 1, "events")
    events.write_bytes(events.read_bytes()[:-10])  # a download that is not finished
    remove(release, IDS[3])
    with pytest.raises(ManifestError, match=str(events)):
        open_source(manifest, tmp_path / "c")
    source = open_source(manifest, tmp_path / "c", skip_missing=True)
    assert (ids(source), source.waiting) == (IDS[:2], IDS[2:])


def test_a_part_needs_only_its_own_files(release, manifest, tmp_path):
    remove(release, IDS[1])
    assert ids(open_source(manifest, tmp_path / "c", part=Part(1, 2))) == [IDS[0], IDS[2]]


def test_another_root_stands_in_for_the_manifest_s(release, manifest, tmp_path):
    release.rename(tmp_path / "moved")
    with pytest.raises(ManifestError):
        open_source(manifest, tmp_path / "c")
    source = open_source(manifest, tmp_path / "c", root=tmp_path / "moved")
    assert ids(source) == IDS


def test_a_manifest_of_other_files_than_the_cache_was_made_from_is_refused(
    release, manifest, tmp_path
):
    cache = tmp_path / "c"
    make(open_source(manifest, cache), cache)
    write_recording(release, IDS[2], shards=(1,), events_per_window=20, seed=99)
    write_manifest(scan_release(release), manifest)
    expected = read_manifest(manifest).recordings[2].shards[0].event_sha256
    shutil.rmtree(release)  # known from the two files alone
    with pytest.raises(CacheError, match=rf"ev001\.npz with the sha256 {expected}") as caught:
        open_source(manifest, cache)
    assert f"delete {cache / IDS[2]}" in str(caught.value)
