"""Checking a pillar cache: every digest, that the arrays fit each other, and that nothing is added."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import records as layout
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.errors import CacheError, UsageError


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
    folders = {folder for key in cache.recording_ids for folder in _folders_above(key)}
    findings = [
        Finding(folder or "the cache itself", "its zarr.json is not that of a group")
        for folder in ["", *sorted(folders)]
        if _group_attributes(cache, folder) != (cache.attributes if folder == "" else {})
    ]
    for recording_id in cache.recording_ids:
        try:
            problems = _check_recording(cache, CachedRecording(cache, recording_id))
        except (CacheError, UsageError, KeyError, TypeError, ValueError) as error:
            problems = [f"cannot be read ({error})"]
        findings += [Finding(recording_id, problem) for problem in problems]
        on_checked(recording_id)
    return findings


def _folders_above(recording_id: str) -> list[str]:
    split, filelist, _ = recording_id.split("/")
    return [split, f"{split}/{filelist}"]


def _group_attributes(cache: PillarCache, folder: str) -> Any:
    """Attributes in a group's zarr.json; None unless every byte outside them is as written.

    zarr itself overlooks some damage here.
    """
    try:
        stored = cache.store.read(f"{folder}/zarr.json".lstrip("/"))
        attributes = json.loads(stored)["attributes"]
    except (CacheError, ValueError, KeyError, TypeError):
        return None
    # To the byte: not even a changed space passes for what was written.
    return attributes if stored == layout.group_document(attributes) else None


def _check_recording(cache: PillarCache, recording: CachedRecording) -> list[str]:
    if _group_attributes(cache, recording.id) != recording.attributes:
        return ["its zarr.json is not that of a group"]
    digests = recording.attributes["digests"]
    found = {name.split("/")[0] for name in cache.store.sizes(recording.id)} - {"zarr.json"}
    problems = [f"'{name}' is not part of it" for name in sorted(found - set(layout.ARRAYS))]
    for name in layout.ARRAYS:
        if name not in found or name not in digests:
            problems.append(f"the array '{name}' is missing")
        elif cache.store.array_digest(f"{recording.id}/{name}") != digests[name]:
            problems.append(f"the array '{name}' does not match its digest")
    return problems or _check_offsets(recording)


def _check_offsets(recording: CachedRecording) -> list[str]:
    """Do the tables describe the arrays they index? Cheap: no pillar is read."""
    offsets, label_offsets = recording.table("offsets"), recording.table("label_offsets")
    windows = len(recording)
    ends = {
        "offsets": (offsets, 2 * windows + 1, ("pillars", "points")),
        "label_offsets": (label_offsets, windows + 1, ("labels_raw", "labels")),
    }
    problems = []
    for name, (table, rows, targets) in ends.items():
        sizes = [recording.array_length(target) for target in targets]
        if len(table) != rows or (np.diff(table, axis=0) < 0).any() or list(table[-1]) != sizes:
            problems.append(f"the array '{name}' does not fit {targets[0]} and {targets[1]}")
    if len(recording.table("windows")) != windows:
        problems.append("the array 'windows' has another length than the recording")
    return problems
