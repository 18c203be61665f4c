"""Checking a pillar cache on this disk: every digest, and that the arrays fit each other."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import cache_layout as layout
from pipeline.cache import CachedRecording, PillarCache
from pipeline.cache_writer import array_digest, attributes_digest
from pipeline.errors import CacheError, UsageError


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a cache: where, and what."""

    recording: str
    message: str


def verify_cache(
    root: Path, on_checked: Callable[[str], None] = lambda recording: None
) -> list[Finding]:
    """Recompute every digest under ``root``; an empty list means the cache is sound.

    Raises :class:`UsageError` or :class:`CacheError` when ``root`` is no cache at all.
    """
    if "://" in str(root):
        raise UsageError(f"{root}: verify reads local folders; copy the cache here first.")
    cache = PillarCache(root)
    findings = []
    for recording_id in cache.recording_ids:
        try:
            problems = _check_recording(cache.recording(recording_id), root / recording_id)
        except (CacheError, UsageError, KeyError, TypeError, ValueError) as error:
            problems = [f"cannot be read ({error})"]
        findings += [Finding(recording_id, problem) for problem in problems]
        on_checked(recording_id)
    return findings


def _check_recording(recording: CachedRecording, folder: Path) -> list[str]:
    attributes: dict[str, Any] = recording.attributes
    if attributes_digest(attributes) != attributes.get("digest"):
        return ["its attributes do not match their digest"]
    problems = [
        f"the array '{name}' does not match its digest"
        for name, expected in attributes["digests"].items()
        if array_digest(folder / name) != expected
    ]
    problems += [
        f"the array '{name}' is missing"
        for name in layout.ARRAYS
        if name not in attributes["digests"]
    ]
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
