"""What a network takes from a cache, the recordings of a split; and whether it fits. Without torch."""

from dmanet.settings import ModelSettings
from pipeline.cache.reader import CachedRecording, PillarCache
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
