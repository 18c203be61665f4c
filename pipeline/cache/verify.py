"""Checking a pillar cache: every digest, that the arrays fit each other, and that nothing is added."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import records as layout
from pipeline.cache.attributes import GROUP_FILE, LARGEST_GROUP_FILE, parse_group
from pipeline.cache.places import MissingFileError, WrongFileError
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.errors import CacheError, PipelineError, machine_sentence
from pipeline.files.documents import MalformedError
from pipeline.release.shards import SPLITS

_WINDOWS_AT_ONCE = 16  # of the largest windows there are, some 50 MB


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a cache.

    Attributes:
        recording: where, a recording or a folder above it.
        message: what.
    """

    recording: str
    message: str


def verify_cache(
    location: str | Path, on_checked: Callable[[str], None] = lambda recording: None
) -> list[Finding]:
    """Recompute every digest of a cache; sources are not needed.

    Args:
        location: a path or an address with ``://``.
        on_checked: called with the id of each recording that was checked.

    Returns:
        What is wrong; an empty list means that the cache is sound.

    Raises:
        UsageError: there is nothing at ``location``.
        CacheError: it is not a cache that this release reads.
    """
    cache = PillarCache(location)
    findings = []
    for folder in _folders_of_recordings(cache):
        problems = _problems(partial(_check_folder, cache, folder))
        findings += [Finding(folder or "the cache itself", problem) for problem in problems]
    for recording_id in cache.recording_ids:
        problems = _problems(partial(_check_recording, cache, recording_id))
        findings += [Finding(recording_id, problem) for problem in problems]
        on_checked(recording_id)
    return findings


def _folders_of_recordings(cache: PillarCache) -> list[str]:
    """The root, every split and every filelist, those without a recording as well."""
    splits = cache.store.folders()
    return [
        "",
        *splits,
        *(f"{s}/{filelist}" for s in splits for filelist in cache.store.folders(s)),
    ]


def _problems(check: Callable[[], list[str]]) -> list[str]:
    """What a check finds; what keeps it from looking is found as well, and the others go on."""
    try:
        return check()
    except OSError as error:
        return [f"cannot be read ({machine_sentence(error).rstrip('.')})"]
    except (PipelineError, MissingFileError, WrongFileError) as error:
        return [f"cannot be read ({str(error).rstrip('.')})"]


def _check_folder(cache: PillarCache, folder: str) -> list[str]:
    """Of the root, a split or a filelist: its own file, and that there is nothing else."""
    problems = []
    if _group_attributes(cache, folder) != (cache.attributes if folder == "" else {}):
        problems.append("its zarr.json is not that of a group")
    known = {GROUP_FILE, *cache.store.folders(folder)}
    if folder == "":
        known = {GROUP_FILE, layout.BUILDING, *SPLITS}
    found = cache.store.names(folder)
    return problems + [f"{name!r} is not part of it" for name in sorted(found - known)]


def _group_attributes(cache: PillarCache, folder: str) -> Any:
    """Attributes in a group's zarr.json; None unless every byte outside them is as written.

    zarr itself overlooks some damage here.
    """
    try:
        stored = cache.store.read(f"{folder}/{GROUP_FILE}".lstrip("/"), LARGEST_GROUP_FILE)
        attributes = parse_group(stored)
    except (MalformedError, MissingFileError, WrongFileError):
        return None
    # To the byte: not even a changed space passes for what was written.
    return attributes if stored == layout.group_document(attributes) else None


def _check_recording(cache: PillarCache, recording_id: str) -> list[str]:
    recording = CachedRecording(cache, recording_id)
    if _group_attributes(cache, recording.id) != recording.attributes:
        return ["its zarr.json is not that of a group"]
    found = cache.store.names(recording.id) - {GROUP_FILE}
    problems = [f"{name!r} is not part of it" for name in sorted(found - set(layout.ARRAYS))]
    for name in layout.ARRAYS:
        if name in found:
            problems += _problems(partial(_check_digest, cache, recording, name))
        else:
            problems.append(f"the array '{name}' is missing")
    if not problems:  # digests say that it is what was written; was that sound?
        recording.check_tables()
        for start in range(0, len(recording), _WINDOWS_AT_ONCE):
            problems += _check_windows(
                recording, start, min(start + _WINDOWS_AT_ONCE, len(recording))
            )
    return problems


def _check_digest(cache: PillarCache, recording: CachedRecording, name: str) -> list[str]:
    try:
        digest = cache.store.array_digest(f"{recording.id}/{name}")
    except (MissingFileError, WrongFileError, CacheError) as error:
        return [f"the array '{name}' cannot be read ({str(error).rstrip('.')})"]
    same = digest == recording.attributes["digests"][name]
    return [] if same else [f"the array '{name}' does not match its digest"]


def _check_windows(recording: CachedRecording, start: int, stop: int) -> list[str]:
    """All that is stored of windows ``start`` to ``stop`` (exclusive); reading checks most of it."""
    offsets = recording.read(start, stop).offsets[::2, 0]
    first = int(recording.table("offsets")[2 * start, 0])
    stored = recording.rows("batch_id", first, first + int(offsets[-1]))
    same = np.array_equal(stored, np.repeat(np.arange(start, stop), np.diff(offsets)))
    return [] if same else [f"in windows {start}…{stop} 'batch_id' has another window's number"]
