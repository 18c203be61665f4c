"""Make the release tree of a manifest's recordings in another folder, by link or by copy.

The tree grows in a hidden folder beside its place, ``.NAME.unfinished``, and is renamed when it is
whole. What was stopped leaves that folder, and the next call goes on with it.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.errors import ManifestError, UsageError
from pipeline.files.digest import file_digest
from pipeline.files.outputs import require_new_folder
from pipeline.files.whole import publish_folders
from pipeline.release.sensors import SENSOR_FILE, write_sensors
from pipeline.selection.manifest import Manifest
from pipeline.text import size as size_text

_PART = ".part"


class TreeMode(StrEnum):
    """How a file comes into the tree."""

    LINK = "link"  # a symbolic link, relative to the tree
    COPY = "copy"


@dataclass(frozen=True)
class _File:
    """One file to come: from where, its place in the tree, and what it must be."""

    source: Path
    relative: Path
    size: int
    sha256: str | None


def assemble_tree(
    manifest: Manifest,
    dest: Path,
    mode: str = TreeMode.LINK,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Put every file of the manifest under ``dest``, which appears whole or not at all.

    A copy is read again and compared with the manifest's digest. Where a copy was stopped, files that
    are whole are kept.

    Args:
        manifest: The recordings.
        dest: A new or empty folder.
        mode: A :class:`TreeMode`, or its name.
        progress: Called after each file with the files done and the files in all.

    Returns:
        How many files.

    Raises:
        UsageError: ``dest`` exists and is not empty, the mode is unknown, the disk has no room, another
            process makes the tree, or what was left unfinished there is of another choice.
        ManifestError: A listed file is missing, or is not what the manifest says.
        OSError: The tree cannot be written.
    """
    if mode not in list(TreeMode):
        raise UsageError(f"'{mode}' is not a way to make a tree; choose link or copy.")
    require_new_folder(dest)
    files = _files(manifest)
    place = dest.resolve()  # a link to an empty folder stays one
    with _unfinished(place) as tree:
        with _held(tree, place):
            _require_no_others(tree, files)
            if mode == TreeMode.COPY:
                _require_room(tree, files)
            for done, file in enumerate(files, start=1):
                target = tree / file.relative
                target.parent.mkdir(parents=True, exist_ok=True)
                if mode == TreeMode.COPY:
                    _copy(file, target)
                else:  # relative to where the link will be once the tree is in place
                    folder = (place / file.relative).parent
                    _link(os.path.relpath(file.source.resolve(), folder), target)
                if progress is not None:
                    progress(done, len(files))
        sensors = {row.id: row.sensor for row in manifest.recordings}
        write_sensors(tree, sensors, manifest.class_map)  # locks it, too
        publish_folders([(tree, place)])
    return len(files)


def _files(manifest: Manifest) -> list[_File]:
    files = []
    for row, recording in zip(manifest.recordings, manifest.recording_files(), strict=True):
        for entry, shard in zip(row.shards, recording.shards, strict=True):
            for path, size, sha256 in (
                (shard.events, entry.event_bytes, entry.event_sha256),
                (shard.labels, entry.label_bytes, entry.label_sha256),
            ):
                if path is not None:
                    known = path.stat().st_size if size is None else size
                    files.append(_File(path, path.relative_to(manifest.root), known, sha256))
    return files


@contextmanager
def _unfinished(place: Path) -> Iterator[Path]:
    """The hidden folder beside ``place``; it stays where it has something to go on with."""
    tree = place.with_name(f".{place.name}.unfinished")
    place.parent.mkdir(parents=True, exist_ok=True)  # whose error names what was asked for
    tree.mkdir(exist_ok=True)
    try:
        yield tree
    finally:
        with suppress(OSError):  # it is not empty, or it has become the tree
            tree.rmdir()


@contextmanager
def _held(tree: Path, place: Path) -> Iterator[None]:
    """``tree`` is this process's alone, where its disk can lock a folder."""
    handle = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise UsageError(f"{place}: another process is making this tree; wait for it.") from None
    except OSError:  # some network disks lock no folders
        pass
    try:
        yield
    finally:
        os.close(handle)


def _require_no_others(tree: Path, files: Sequence[_File]) -> None:
    expected = {file.relative.as_posix() for file in files}
    expected |= {name + _PART for name in expected} | {SENSOR_FILE}
    for path in sorted(tree.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(tree).as_posix()
        if name not in expected and not path.name.startswith(f".{SENSOR_FILE}"):
            raise UsageError(
                f"{tree}: was left unfinished with {name}, which is not of this choice; remove the "
                "folder, or finish what was begun."
            )


def _require_room(tree: Path, files: Sequence[_File]) -> None:
    needed = sum(file.size for file in files if not _has_size(tree / file.relative, file.size))
    free = shutil.disk_usage(tree).free
    if needed > free:
        raise UsageError(
            f"{tree.parent}: the copy needs {size_text(needed)} more and this disk has "
            f"{size_text(free)}; make room, give another disk, or use --link."
        )


def _has_size(path: Path, size: int) -> bool:
    return not path.is_symlink() and path.is_file() and path.stat().st_size == size


def _copy(file: _File, target: Path) -> None:
    """Copy where the file is not there yet, whole and right."""
    if _has_size(target, file.size) and file.sha256 in (None, file_digest(target)):
        return
    part = target.with_name(target.name + _PART)
    try:
        shutil.copyfile(file.source, part)
        if not _has_size(part, file.size) or file.sha256 not in (None, file_digest(part)):
            raise ManifestError(
                f"{file.source}: its content is not what the manifest says; restore the file, or scan "
                "the release again."
            )
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _link(to: str, target: Path) -> None:
    if target.is_symlink() and os.readlink(target) == to:
        return
    target.unlink(missing_ok=True)
    target.symlink_to(to)
