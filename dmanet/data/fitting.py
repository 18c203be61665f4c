"""What a network takes from a cache, the recordings of a split; and whether it fits. Without torch."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dmanet.settings import ModelSettings
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.cache.records import LABEL_COLUMNS
from pipeline.cache.settings import CacheSettings
from pipeline.errors import CacheError, UsageError


def recordings_of(cache: PillarCache, split: str) -> list[CachedRecording]:
    """The recordings of a split that have windows.

    Raises:
        UsageError: the split has none, or their windows are none.
    """
    recordings = [recording for recording in cache.recordings(split) if len(recording)]
    if not recordings:
        splits = sorted({key.split("/")[0] for key in cache.recording_ids})
        raise UsageError(
            f"{cache.location}: holds no windows of the split '{split}'; it holds "
            f"{', '.join(splits) or 'no recording at all'}; voxelize recordings of it, or "
            "choose another split."
        )
    return recordings


def has_labels(cache: PillarCache, split: str, classes: Sequence[int]) -> bool:
    """Whether a split has a box of these classes, given by the release's numbers.

    Without one there is nothing to learn from it, or to score.

    Raises:
        CacheError: what is stored cannot be read.
    """
    column = LABEL_COLUMNS.index("class")
    wanted = [number for number, name in enumerate(cache.settings.classes) if name in classes]
    return any(
        np.isin(recording.table("labels")[:, column], wanted).any()
        for recording in cache.recordings(split)
    )


def check_fit(
    cache: PillarCache,
    settings: ModelSettings,
    source: str,
    classes: tuple[str, ...] | None = None,
    *,
    trained: bool = True,
) -> None:
    """Check that a network takes what the cache holds, and that the cache holds its classes.

    Args and errors are those of :func:`check_settings_fit`.
    """
    check_settings_fit(cache.settings, cache.location, settings, source, classes, trained=trained)


def check_settings_fit(
    encoding: CacheSettings,
    location: str,
    settings: ModelSettings,
    source: str,
    classes: tuple[str, ...] | None = None,
    *,
    trained: bool = True,
) -> None:
    """:func:`check_fit` of a cache that is known by its settings alone.

    Args:
        encoding: of the cache.
        location: of the cache, or whatever has its settings.
        settings: of the network.
        source: names the network in the message, as in "that of last.pt".
        classes: the names of its outputs; None for those of the cache.
        trained: it is what it is. One that is yet to be trained may be set otherwise, and the message
            says how.

    Raises:
        CacheError: it does not, naming the keys in which they differ.
    """
    if classes is None:
        classes = encoding.output_names
    elif lacking := [name for name in classes if name not in encoding.output_names]:
        raise CacheError(
            f"{location}: a network for this cache has classes among "
            f"{', '.join(encoding.output_names)}, {source} has {', '.join(lacking)}; use a cache "
            "that holds them all, or a network for fewer (`dmanet train` takes --classes)."
        )
    width, height = encoding.grid
    fitting = {
        "grid_size": (height, width),
        "max_points": encoding.max_points,
        "num_classes": len(classes),
    }
    found = {key: getattr(settings, key) for key in fitting}
    differing = [key for key in fitting if fitting[key] != found[key]]
    if not differing:
        return
    wanted = " and ".join(f"{key} = {fitting[key]}" for key in differing)
    has = " and ".join(str(found[key]) for key in differing)
    voxelized = " ".join(_VOXELIZED[key](found[key]) for key in differing)
    if trained:
        advice = f"use a network that was trained on such a cache, or voxelize with {voxelized}"
    else:
        overrides = " ".join(
            f"--set model.{key}={json.dumps(fitting[key], separators=(',', ':'))}"
            for key in differing
        )
        advice = f"add {overrides}, or voxelize with {voxelized}"
    raise CacheError(
        f"{location}: a network for this cache has {wanted}, {source} has {has}; {advice}."
    )


#: The option of `dmanet-data voxelize` that makes a cache for a network's setting.
_VOXELIZED: Mapping[str, Callable[[Any], str]] = {
    "grid_size": lambda size: f"--grid {size[1]}x{size[0]}",
    "max_points": lambda points: f"--max-points {points}",
    "num_classes": lambda count: f"--classes of {count} names",
}
