"""Do a release's files hold what a manifest says of them?"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files.digest import file_digest
from pipeline.files.inputs import require_regular
from pipeline.release.sensors import read_release
from pipeline.release.shards import shard_path
from pipeline.selection.entries import RecordingEntry
from pipeline.selection.manifest import Manifest


def check_files(
    manifest: Manifest, root: Path, on_bytes: Callable[[int], None] | None = None
) -> Iterator[str]:
    """Compare every file of ``manifest`` below ``root``; a sentence for each that is wrong.

    Sizes and digests that the manifest does not know, of event files where only labels were scanned,
    are not compared. Files that it does not list are nobody's fault.

    Args:
        manifest: What the files should be.
        root: The release's folder.
        on_bytes: Called with the bytes checked since the last call, as the manifest counts them.

    Raises:
        DataError: The release's file of sensor sizes is malformed.
        OSError: A file is there and cannot be read.
    """
    facts = read_release(root)
    for row in manifest.recordings:
        found = facts.sensor_of(row.id)
        if found != row.sensor:
            yield f"{row.id}: its sensor is {_sides(found)} and should be {_sides(row.sensor)}."
        for path, size, sha256 in _expected(manifest, row, root):
            wrong = _wrong(path, size, sha256)
            if wrong is not None:
                yield f"{path}: {wrong}"
            if on_bytes is not None:
                on_bytes(size or 0)


def _expected(
    manifest: Manifest, row: RecordingEntry, root: Path
) -> Iterator[tuple[Path, int | None, str | None]]:
    for shard in row.shards:
        if shard.event_bytes is not None or manifest.labels_only:
            events = shard_path(root, row.id, shard.number, "events")
            yield events, shard.event_bytes, shard.event_sha256
        if shard.label_bytes is not None:
            labels = shard_path(root, row.id, shard.number, "labels")
            yield labels, shard.label_bytes, shard.label_sha256


def _wrong(path: Path, size: int | None, sha256: str | None) -> str | None:
    """What is wrong with one file; ``None`` where nothing is."""
    try:
        found = require_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing."
    except UsageError as error:
        return str(error).removeprefix(f"{path}: ")
    if size is not None and found != size:
        return f"has {found} bytes and should have {size}."
    if sha256 is not None and file_digest(path) != sha256:
        return "its content is another: the SHA-256 does not match."
    return None


def _sides(sensor: tuple[int, int]) -> str:
    return f"{sensor[0]}x{sensor[1]}"
