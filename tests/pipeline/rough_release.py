"""A release with most of what a report may stumble over."""

from pathlib import Path

from pipeline.release.sensors import write_sensor
from pipeline.release.shards import shard_path, write_shard
from tests.pipeline.sound_recordings import boxes, window_events, write_recording


def rough_release(root: Path) -> Path:
    """Two splits, two sensors, an awkward name, a missing file, windows without events or boxes."""
    write_recording(root, "train/trainfilelist00/a", shards=2, seed=1)
    write_recording(root, "train/trainfilelist00/b <i>$x$ & co", shards=2, class_id=0, seed=2)
    shard_path(root, "train/trainfilelist00/a", 2, "labels").unlink()
    small = "test/testfilelist00/small"
    events = [window_events(10 + k, count=0 if k == 4 else 30, sensor=(64, 48)) for k in range(10)]
    write_shard(root, small, 1, events, [boxes() for _ in range(10)])
    write_sensor(root, small, (64, 48))
    return root
