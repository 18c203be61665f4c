"""Statistics of a dataset, from its pillar cache or from its manifest alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.cache.reader import PillarCache
from pipeline.files.whole import written_whole
from pipeline.selection.manifest import Manifest
from pipeline.statistics.of_cache import collect_from_cache
from pipeline.statistics.of_manifest import collect_from_manifest
from pipeline.statistics.schema import Statistics


def collect_statistics(
    source: PillarCache | Manifest,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> Statistics:
    """Statistics of a pillar cache, or of a manifest with what that holds.

    A cache is read recording by recording: its tables, and the pillars of a fixed number of windows. Of
    a manifest whose shards are there, a fixed number of windows is read.

    Args:
        source: the cache or the manifest.
        progress: is called after each recording with the number done and the number of all.
        workers: processes that share a cache's recordings.

    Raises:
        CacheError: an array of the cache cannot be read.
        DataError: a folder, a pipe or a device is in the place of a shard's file.
    """
    if isinstance(source, Manifest):
        return collect_from_manifest(source)
    return collect_from_cache(source, progress, workers)


def write_statistics(statistics: Statistics, path: Path) -> None:
    """Write the JSON file whole or not at all: a line for each field, and for each recording."""
    with written_whole(path) as unfinished:
        unfinished.write_text(_json_text(statistics), encoding="utf-8")


def _json_text(statistics: Statistics) -> str:
    content = statistics.to_json()
    lines = [f" {_json(key)}: {_json(value)}" for key, value in content.items()]
    if statistics.recordings:
        rows = ",\n".join(f"  {_json(row)}" for row in content["recordings"])
        lines[list(content).index("recordings")] = f' "recordings": [\n{rows}\n ]'
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
