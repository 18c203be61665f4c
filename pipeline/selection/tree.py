"""Make the release tree of a manifest's recordings in another folder, by link or by copy."""

import os
import shutil
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.files.whole import folder_written_whole
from pipeline.release.sensors import write_sensors
from pipeline.selection.manifest import Manifest


class TreeMode(StrEnum):
    """How a file comes into the tree."""

    LINK = "link"  # a symbolic link, relative to the tree
    COPY = "copy"


def assemble_tree(
    manifest: Manifest,
    dest: Path,
    mode: str = TreeMode.LINK,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Put every file of the manifest under ``dest``.

    The tree is built beside ``dest`` and renamed, so that it appears whole or not at all.

    Args:
        manifest: The recordings.
        dest: A new or empty folder.
        mode: A :class:`TreeMode`, or its name.
        progress: Called after each file with the files done and the files in all.

    Returns:
        How many files.

    Raises:
        UsageError: ``dest`` exists and is not empty, or the mode is unknown.
        ManifestError: A listed file is missing or has another size.
        OSError: The tree cannot be written.
    """
    if mode not in list(TreeMode):
        raise UsageError(f"'{mode}' is not a way to make a tree; choose link or copy.")
    files = [
        path
        for recording in manifest.recording_files()
        for shard in recording.shards
        for path in (shard.events, shard.labels)
        if path is not None
    ]
    with folder_written_whole(dest) as tree:
        for done, source in enumerate(files, start=1):
            relative = source.relative_to(manifest.root)
            target = tree / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            if mode == TreeMode.COPY:
                shutil.copyfile(source, target)
            else:  # relative to where the link will be once the tree is in place
                final = dest.resolve() / relative
                target.symlink_to(os.path.relpath(source.resolve(), final.parent))
            if progress is not None:
                progress(done, len(files))
        write_sensors(tree, {row.id: row.sensor for row in manifest.recordings}, manifest.class_map)
    return len(files)
