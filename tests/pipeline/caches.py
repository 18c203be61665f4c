"""Small pillar caches for the tests of what reads them."""

from pathlib import Path

from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.sensors import read_release
from pipeline.release.shards import SENSOR_SIZE, walk_release
from pipeline.voxelizing.run import voxelize


def make_cache(
    release: Path, cache: Path, settings: CacheSettings | None = None, on_corrupt="quarantine"
) -> PillarCache:
    """The release's cache, with the sensor sizes it states."""
    sensors = read_release(release).sensors
    voxelize(
        walk_release(release),
        lambda recording: sensors.get(recording, SENSOR_SIZE),
        cache,
        settings or CacheSettings(),
        on_corrupt=on_corrupt,
    )
    return PillarCache(cache)
