"""Settings and versions decide a cache, sources decide a recording; anything else is refused."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.cache import records as layout
from pipeline.cache.reader import PillarCache
from pipeline.cache.records import describe
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError
from pipeline.selection.manifest import write_manifest
from pipeline.selection.scan import scan_release
from pipeline.voxelizing.source import open_source
from tests.pipeline.caches import make_cache
from tests.pipeline.releases import write_recording

RECORDING = "train/trainfilelist00/rec_a"
SETTINGS = CacheSettings(preset="paper", grid=(64, 48), classes=(0, 1, 2))
OTHERS = {
    "preset": "release",
    "grid": (64, 64),
    "num_bins": 7,
    "time_cells": 2,
    "max_points": 3,
    "max_pillars": 50_000,
    "dedup": "none",
    "overflow": "stop",
    "time_steps": 256,
    "min_diagonal": 30.0,
    "min_side": 10.0,
    "classes": (2, 1, 0),
    "class_names": ("car", "pedestrian", "dog"),
    "drop": ("box-jump",),
    "data_set": "1mpx",
}


def changed(**others: object) -> CacheSettings:
    return CacheSettings(**{**dict(SETTINGS), **others})


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("release")
    write_recording(root, RECORDING, shards=(1,))
    return root


@pytest.fixture
def folder(release, tmp_path) -> Path:
    return Path(make_cache(release, tmp_path / "cache", SETTINGS).location)


def edit(folder: Path, **attributes: object) -> None:
    path = folder / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"].update(attributes)
    path.write_text(json.dumps(document))


def test_every_setting_is_in_the_fingerprint():
    assert set(OTHERS) == set(CacheSettings.model_fields)
    prints = {describe(changed(**{k: v}))["fingerprint"] for k, v in OTHERS.items()}
    assert len(prints | {describe(SETTINGS)["fingerprint"]}) == len(OTHERS) + 1


@pytest.mark.parametrize("key", OTHERS)
def test_another_setting_is_named_with_both_values(release, folder, key):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    theirs = json.dumps(dict(SETTINGS)[key])
    ours = json.dumps(OTHERS[key])
    saying = f"made with {key} = {theirs}, this run asks for {ours}; use the same setting or"
    wanted = changed(**{key: OTHERS[key]})
    with pytest.raises(CacheError) as raised:
        make_cache(release, folder, wanted)
    assert saying in str(raised.value)
    with pytest.raises(CacheError) as raised:
        PillarCache(folder, wanted)
    assert saying in str(raised.value)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("key", ["version", "kernel_version"])
def test_another_version_is_named_with_both_values(release, folder, key):
    ours = describe(SETTINGS)[key]
    edit(folder, **{key: ours + 1})
    with pytest.raises(CacheError, match=rf"{key} {ours + 1}, this release reads {ours}; build"):
        PillarCache(folder)
    with pytest.raises(CacheError, match=rf"{key} = {ours + 1}, this run asks for {ours}; use"):
        make_cache(release, folder, SETTINGS)


def test_a_cache_of_another_kernel_is_refused_by_a_release_that_raised_the_version(
    release, folder, monkeypatch
):
    monkeypatch.setattr(layout, "KERNEL_VERSION", layout.KERNEL_VERSION + 1)
    with pytest.raises(CacheError, match="kernel_version"):
        PillarCache(folder)
    with pytest.raises(CacheError, match="use the same release of this software or another"):
        make_cache(release, folder, SETTINGS)


def test_edited_settings_do_not_pass_for_the_cache(release, folder):
    settings = {**json.loads(json.dumps(dict(SETTINGS))), "max_points": 3}
    edit(folder, settings=settings)
    with pytest.raises(CacheError, match="do not match their fingerprint"):
        PillarCache(folder)
    with pytest.raises(CacheError, match="fingerprint"):
        make_cache(release, folder, changed(max_points=3))


def test_other_sources_are_refused_by_their_digests(release, folder, tmp_path):
    # The files have the old sizes: only the digests of the manifest tell.
    root = shutil.copytree(release, tmp_path / "release")
    path = root / "train/trainfilelist00/events/rec_a/ev001.npz"
    data = bytearray(path.read_bytes())
    data[10] ^= 1  # the first member's time of day
    path.write_bytes(data)
    write_manifest(scan_release(root), tmp_path / "manifest.json")
    with pytest.raises(CacheError) as raised:
        open_source(tmp_path / "manifest.json", folder)
    known = PillarCache(folder).recording(RECORDING).attributes["source"]["files"]
    assert "ev001.npz" in str(raised.value)
    assert next(f["sha256"] for f in known if f["name"] == "ev001.npz") in str(raised.value)
    assert f"delete {folder / RECORDING}" in str(raised.value)


def test_sources_of_another_size_are_refused_from_a_folder_as_well(release, folder, tmp_path):
    root = shutil.copytree(release, tmp_path / "release")
    write_recording(root, RECORDING, shards=(1,), events_per_window=301)
    with pytest.raises(CacheError, match=r"bytes, the cache was made from \d+ bytes; delete"):
        make_cache(root, folder, SETTINGS)
