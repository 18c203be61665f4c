"""What `voxelize` is to read: a release's folder, or a manifest and the files it lists."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.cache.attributes import recording_attributes
from pipeline.cache.lock import Part
from pipeline.errors import CacheError, ManifestError
from pipeline.release.classes import ClassMap
from pipeline.release.sensors import read_release
from pipeline.release.shards import RecordingFiles, walk_release
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import read_manifest


@dataclass(frozen=True)
class Source:
    """What a run is to read.

    Attributes:
        recordings: Those to voxelize or to find complete.
        sensor_of: Gives width and height in pixels by their ids.
        class_map: What the class numbers of their boxes mean.
        waiting: Ids of recordings that are not wholly on disk yet.
    """

    recordings: list[RecordingFiles]
    sensor_of: Callable[[str], tuple[int, int]]
    class_map: ClassMap
    waiting: list[str]


def open_source(
    path: Path,
    cache: Path,
    *,
    root: Path | None = None,
    part: Part | None = None,
    skip_missing: bool = False,
) -> Source:
    """Find the recordings of a folder or a manifest, or one part's share of them.

    Args:
        path: The release's folder, or a manifest.
        cache: The cache they are to be in. Files of recordings that it holds already need not be there.
        root: Where a manifest's files lie, if not where it says.
        part: Whose share to give.
        skip_missing: Leave recordings waiting whose files are missing.

    Raises:
        ManifestError: A file of a recording that is to do is missing or has another size.
        CacheError: The manifest lists other files than the cache was made from.
    """
    if path.is_dir():
        found = walk_release(path)
        facts = read_release(path)
        return Source(part.share(found) if part else found, facts.sensor_of, facts.class_map, [])
    manifest = read_manifest(path)
    rows = part.share(manifest.recordings) if part else manifest.recordings
    recordings, waiting = [], []
    for row in rows:
        if (cache / row.id).exists():
            _check_same_digests(cache / row.id, row, path)
            recordings.append(manifest.files_of(row, root, must_exist=False))
            continue
        try:
            recordings.append(manifest.files_of(row, root))
        except ManifestError:
            if not skip_missing:
                raise
            waiting.append(row.id)
    sensors = {row.id: row.sensor for row in rows}
    return Source(recordings, sensors.__getitem__, manifest.class_map, waiting)


def _check_same_digests(published: Path, row: RecordingEntry, manifest: Path) -> None:
    made_from = {
        entry["name"]: entry["sha256"]
        for entry in recording_attributes(published)["source"]["files"]
    }
    for shard in row.shards:
        for name, sha256 in (
            (f"ev{shard.number:03d}.npz", shard.event_sha256),
            (f"lb{shard.number:03d}.npz", shard.label_sha256),
        ):
            if sha256 is not None and made_from.get(name) != sha256:
                raise CacheError(
                    f"{manifest}: {row.id} has {name} with the sha256 {sha256}, the cache was made "
                    f"from {made_from.get(name, 'no such file')}; delete {published} to make this "
                    "recording again, or use another cache."
                )
