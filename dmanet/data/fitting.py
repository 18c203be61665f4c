"""What a network takes from a cache: the recordings of a split, boxes of its classes; and if it fits."""

import torch
from torch import Tensor

from dmanet.detection.losses import Targets
from dmanet.settings import ModelSettings
from pipeline.cache.reader import CachedRecording, PillarCache
from pipeline.errors import CacheError, UsageError


def class_outputs(cached: tuple[int, ...], classes: tuple[int, ...]) -> Tensor:
    """Where the boxes of a cache's classes go among a network's outputs.

    Args:
        cached: the cache's classes, by the release's numbers.
        classes: the network's, by the release's numbers.

    Returns:
        int64, for each class of the cache its place in ``classes``, -1 where it is not among them.
    """
    return torch.tensor([classes.index(c) if c in classes else -1 for c in cached])


def select_classes(targets: Targets, outputs: Tensor) -> Targets:
    """The boxes of a network's classes, under the numbers of its outputs.

    Args:
        targets: boxes with the cache's numbers.
        outputs: what :func:`class_outputs` gives.
    """
    classes = outputs[targets.classes]
    kept = classes >= 0
    return Targets(targets.boxes[kept], classes[kept], targets.frame[kept])


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
            f"{', '.join(splits) or 'no recording at all'}."
        )
    return recordings


def check_fit(
    cache: PillarCache,
    settings: ModelSettings,
    source: str,
    classes: tuple[int, ...] | None = None,
) -> None:
    """Check that a network takes what the cache holds, and that the cache holds its classes.

    Args:
        cache: that it is to read.
        settings: of the network.
        source: names the network in the message, as in "that of last.pt".
        classes: the release's numbers of its outputs; None for those of the cache.

    Raises:
        CacheError: it does not, naming the first key in which they differ.
    """
    if classes is None:
        classes = cache.settings.classes
    elif not set(classes) <= set(cache.settings.classes):
        raise CacheError(
            f"{cache.location}: a network for this cache has classes among "
            f"{cache.settings.classes}, {source} has {classes}; use a cache that holds them all, or "
            "a network for fewer (`dmanet train` takes --set training.classes=…)."
        )
    width, height = cache.settings.grid
    for key, fitting, found in (
        ("grid_size", (height, width), settings.grid_size),
        ("max_points", cache.settings.max_points, settings.max_points),
        ("num_classes", len(classes), settings.num_classes),
    ):
        if fitting != found:
            raise CacheError(
                f"{cache.location}: a network for this cache has {key} = {fitting}, {source} has "
                f"{found}; choose another network (`dmanet train` takes --set model.{key}=…) or "
                "voxelize with other settings."
            )
