"""One window of a cache as a picture: its pillars by polarity, and its labels."""

from PIL import Image

from dmanet.reporting.visualization import WindowCells, draw_window
from pipeline.cache.reader import PillarCache


def draw_cached_window(
    cache: PillarCache, recording_id: str, window: int, width: int = 960
) -> Image.Image:
    """The window as an RGB picture in the sensor's aspect.

    Args:
        cache: where it is read.
        recording_id: the recording.
        window: its number in the recording.
        width: of the picture in pixels.

    Raises:
        UsageError: the cache lacks the recording or the window.
        CacheError: what is stored cannot be read.
    """
    recording = cache.recording(recording_id)
    sample = recording.read(window, window + 1)
    negative, positive = (sample.tensors(0, polarity).coords[:, [2, 1]] for polarity in (0, 1))
    columns, rows = cache.settings.grid
    row = recording.table("windows")[window]
    return draw_window(
        WindowCells(positive, negative, (rows, columns), recording.sensor),
        cache.settings.output_names,
        labels=sample,
        caption=f"{recording_id} window {window}, shard {row[0]:03d} member {row[1]}",
        width=width,
    )
