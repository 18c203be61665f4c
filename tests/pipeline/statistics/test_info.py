"""What `info` says about a cache: sizes as they are on disk, and how much of a manifest is there."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.cache import records as layout
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError
from pipeline.release.shards import shard_path
from pipeline.selection.manifest import Manifest, read_manifest, write_manifest
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.info import cache_info, info_lines, manifest_info
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import damage_member, write_recording

NAMES = [f"train/trainfilelist0{k % 2}/rec_{k}" for k in range(4)] + ["val/valfilelist00/rec_v"]
SMALL = CacheSettings(grid=(64, 64))


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    for seed, name in enumerate(NAMES):
        write_recording(root, name, shards=(1,), seed=seed)
    return root


@pytest.fixture(scope="module")
def manifest(release, tmp_path_factory) -> Manifest:
    path = tmp_path_factory.mktemp("manifests") / "m.json"
    write_manifest(scan_release(release), path)
    return read_manifest(path)


@pytest.fixture(scope="module")
def cache(release, tmp_path_factory) -> PillarCache:
    return make_cache(release, tmp_path_factory.mktemp("caches") / "cache", SMALL)


def test_sizes_are_those_of_the_files(cache, release):
    info = cache_info(cache)
    files = {p: p.stat().st_size for p in Path(cache.location).rglob("*") if p.is_file()}
    assert info["cache_bytes"] == sum(files.values())
    assert info["source_bytes"] == sum(p.stat().st_size for p in release.rglob("*.npz"))
    assert info["cache_to_source"] == info["cache_bytes"] / info["source_bytes"]
    for name in layout.ARRAYS:
        stored = [size for path, size in files.items() if f"/{name}/" in path.as_posix()]
        arrays = [r.table(name) for r in cache.recordings()]
        assert info["arrays"][name]["stored_bytes"] == sum(stored)
        assert info["arrays"][name]["raw_bytes"] == sum(array.nbytes for array in arrays)
        assert info["arrays"][name]["rows"] == sum(map(len, arrays))
        assert "blosc" in info["arrays"][name]["compression"]


def test_contents_and_settings_are_said(cache):
    info = cache_info(cache)
    assert info["recordings"] == 5
    assert info["recording_ids"] == sorted(NAMES)
    assert info["by_split"] == {
        "train": {"recordings": 4, "windows": 40},
        "val": {"recordings": 1, "windows": 10},
    }
    assert info["settings"]["grid"] == [64, 64]
    assert info["fingerprint"] == cache.attributes["fingerprint"]
    assert info["pillars"] == sum(len(r.read(0, 10).pillars) for r in cache.recordings())
    assert "manifest" not in info
    assert json.loads(json.dumps(info)) == info


def test_a_whole_cache_is_complete(cache, manifest):
    found = cache_info(cache, manifest)["manifest"]
    assert (found["recordings"], found["complete"], found["missing_bytes"]) == (5, 5, 0)
    assert found["missing"] == found["changed"] == found["not_in_manifest"] == []
    assert found["digest"] == manifest.digest


def test_what_is_missing_is_listed_with_its_filelists_and_bytes(release, manifest, tmp_path):
    part = tmp_path / "part"
    for name in (NAMES[0], NAMES[2]):
        for kind in ("events", "labels"):
            path = shard_path(part, name, 1, kind)
            path.parent.mkdir(parents=True)
            shutil.copy(shard_path(release, name, 1, kind), path)
    write_recording(part, "test/testfilelist00/extra", shards=(1,), seed=9)
    found = cache_info(make_cache(part, tmp_path / "c", SMALL), manifest)["manifest"]
    assert (found["recordings"], found["complete"]) == (5, 2)
    assert found["missing"] == [NAMES[1], NAMES[3], NAMES[4]]
    assert found["missing_filelists"] == ["train/trainfilelist01", "val/valfilelist00"]
    sizes = {row.id: row.bytes for row in manifest.recordings}
    assert found["missing_bytes"] == sum(sizes[name] for name in found["missing"])
    assert found["not_in_manifest"] == ["test/testfilelist00/extra"]


@pytest.mark.parametrize("change", ["other events", "one file more", "one file less"])
def test_a_recording_made_from_other_files_is_not_complete(release, manifest, tmp_path, change):
    root = shutil.copytree(release, tmp_path / "release")
    if change == "other events":
        write_recording(root, NAMES[1], shards=(1,), seed=77)
    elif change == "one file more":
        write_recording(root, NAMES[1], shards=(1, 2), seed=1)
    else:
        shard_path(root, NAMES[1], 1, "events").unlink()
    found = cache_info(make_cache(root, tmp_path / "c", SMALL), manifest)["manifest"]
    assert found["changed"] == [NAMES[1]]
    assert found["complete"] == 4


def test_a_manifest_of_labels_alone_compares_the_labels(release, cache, tmp_path):
    labels = tmp_path / "labels"
    for path in release.rglob("lb*.npz"):
        target = labels / path.relative_to(release)
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    manifest = scan_release(labels, labels_only=True)
    assert cache_info(cache, manifest)["manifest"]["complete"] == 5


@pytest.mark.parametrize("policy", ["quarantine", "repeat"])
def test_what_was_left_out_is_counted(release, tmp_path, policy):
    root = shutil.copytree(release, tmp_path / "release")
    for member in ("e4", "e7"):
        damage_member(shard_path(root, NAMES[0], 1, "events"), member)
    info = cache_info(make_cache(root, tmp_path / "c", SMALL, on_corrupt=policy))
    assert info["defects"]["bad-crc"] == 2
    expected = (2, 0) if policy == "quarantine" else (0, 2)
    assert (info["left_out"], info["repeated"]) == expected
    assert info["windows"] == 50 - info["left_out"]


def test_the_text_has_units_and_cuts_long_lists(cache, manifest):
    text = "\n".join(info_lines(cache_info(cache, manifest)))
    assert "cache_bytes" in text
    assert " rows, " in text
    assert " raw, " in text
    assert " stored, blosc zstd" in text
    long = info_lines({"recording_ids": [f"rec_{k}" for k in range(2000)]})
    assert long == [
        "recording_ids        rec_0, rec_1, rec_2, rec_3, rec_4, rec_5, rec_6, rec_7, and 1,992 more"
    ]


def test_a_manifest_has_facts_too(manifest):
    facts = manifest_info(manifest)
    assert facts["recordings"] == 5
    assert "subset" in "\n".join(info_lines(facts))


@pytest.mark.parametrize("look", [cache_info, collect_statistics])
def test_what_is_neither_file_nor_folder_is_named(cache, tmp_path, look):
    copy = tmp_path / "cache"
    shutil.copytree(cache.location, copy)
    os.mkfifo(copy / cache.recording_ids[0] / "labels" / "pipe")
    with pytest.raises(CacheError, match=r"labels/pipe: is a pipe, .*; remove it"):
        look(PillarCache(copy))
