"""Releases, manifests and a cache that no test writes into."""

from pathlib import Path

import pytest

from tests.cli.data.commands import GRID, RECORDING, run
from tests.pipeline.releases import write_recording


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Path:
    """Recordings of all splits."""
    root = tmp_path_factory.mktemp("data") / "release"
    for k in range(3):
        write_recording(root, f"train/trainfilelist00/rec_{k}", seed=k)
    write_recording(root, "val/valfilelist00/rec_v", shards=(1,), seed=7)
    write_recording(root, "test/testfilelist00/rec_t", shards=(1,), seed=8)
    return root


@pytest.fixture(scope="session")
def manifest(release) -> Path:
    """What `release` holds."""
    path = release.parent / "manifest.json"
    assert run("scan", release, "-o", path).exit_code == 0
    return path


@pytest.fixture(scope="session")
def small_release(tmp_path_factory) -> Path:
    """Two recordings."""
    root = tmp_path_factory.mktemp("small") / "release"
    write_recording(root, RECORDING, seed=1)
    write_recording(root, "val/valfilelist00/rec_v", shards=(1,), seed=7)
    return root


@pytest.fixture(scope="session")
def small_manifest(small_release) -> Path:
    """What `small_release` holds."""
    path = small_release.parent / "manifest.json"
    assert run("scan", small_release, "-o", path).exit_code == 0
    return path


@pytest.fixture(scope="session")
def cache(small_release) -> Path:
    """A cache of `small_release`."""
    path = small_release.parent / "cache"
    assert run("voxelize", small_release, path, *GRID).exit_code == 0
    return path
