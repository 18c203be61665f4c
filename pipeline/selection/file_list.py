"""The list of a manifest's files, as downloaders take it: wget, rsync, aria2, xargs."""

import os
import re
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files.whole import written_whole
from pipeline.release.sensors import SENSOR_FILE
from pipeline.release.shards import SENSOR_SIZE, shard_path
from pipeline.selection.manifest import Manifest

# Programs that read lines end them at either, and may strip the blanks around them.
_NO_LINE = re.compile(r"[\r\n]|^\s|\s$")


def listed_files(manifest: Manifest) -> list[str]:
    """Every file of the manifest relative to the release's root.

    Each begins with its split, and so with none of the signs (``#``, ``;``, ``-``) that a program could
    take for a comment or an option.
    """
    root = manifest.root
    files = []
    for row in manifest.recordings:
        for shard in row.shards:
            if shard.event_bytes is not None or manifest.labels_only:
                files.append(shard_path(root, row.id, shard.number, "events"))
            if shard.label_bytes is not None:
                files.append(shard_path(root, row.id, shard.number, "labels"))
    listed = [path.relative_to(root).as_posix() for path in files]
    if any(row.sensor != SENSOR_SIZE for row in manifest.recordings):
        listed.append(SENSOR_FILE)
    return listed


def file_list(manifest: Manifest, *, null: bool = False) -> bytes:
    """The list as a file holds it, one name a line.

    Args:
        manifest: Whose files.
        null: End names with a zero byte instead, as ``rsync --from0`` and ``xargs -0`` take them. Any
            name fits.

    Raises:
        UsageError: A name does not fit a line.
    """
    names = listed_files(manifest)
    if not null:
        for name in names:
            if _NO_LINE.search(name):
                raise UsageError(
                    f"{name!r} does not fit a line of a list; write it with --null, for programs that "
                    "read names up to a zero byte (rsync --from0, xargs -0)."
                )
    end = "\0" if null else "\n"
    return os.fsencode("".join(name + end for name in names))


def write_file_list(manifest: Manifest, path: Path, *, null: bool = False) -> None:
    """Write :func:`file_list` whole or not at all."""
    content = file_list(manifest, null=null)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content)
