"""Which recording and window a picture shows where little was said."""

import numpy as np

from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.errors import CacheError, UsageError


def find_recording(cache: PillarCache, name: str | None) -> CachedRecording:
    """A recording by its id, or by its own name where only one has it; None: the first.

    Raises:
        UsageError: the cache lacks it, or several have this name.
        CacheError: the cache holds no recording, or this one is damaged.
    """
    if name is None:
        if not cache.recording_ids:
            raise CacheError(f"{cache.location}: holds no recording; run `dmanet-data voxelize`.")
        return cache.recording(cache.recording_ids[0])
    if "/" not in name:
        found = [one for one in cache.recording_ids if one.split("/")[-1] == name]
        if len(found) > 1:
            raise UsageError(
                f"{cache.location}: {' and '.join(found[:2])} exist; give the whole id."
            )
        name = found[0] if found else name
    return cache.recording(name)


def window_with_most_labels(recording: CachedRecording) -> int:
    """The first window with as many labels as any other has.

    Raises:
        CacheError: what is stored cannot be read.
    """
    recording.check_tables()
    counts = np.bincount(recording.table("labels")[:, 0].astype(np.int64), minlength=1)
    return int(counts.argmax())
