"""Small releases on disk for tests, in the real format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US, write_shard


def random_events(rng: np.random.Generator, start: int, count: int) -> np.ndarray:
    """Events of one window that begins at ``start`` µs, on the 1280×720 sensor."""
    window = np.zeros(count, EVENT_DTYPE)
    window["t"] = start + np.sort(rng.integers(0, WINDOW_US, count))
    window["x"] = rng.integers(0, 1280, count)
    window["y"] = rng.integers(0, 720, count)
    window["p"] = rng.integers(0, 2, count)
    return window


def random_labels(rng: np.random.Generator, start: int, count: int) -> np.ndarray:
    """Boxes of one window; most of them pass the label rules."""
    labels = np.zeros(count, LABEL_DTYPE)
    labels["t"] = start
    labels["x"], labels["y"] = rng.uniform(0, 1000, count), rng.uniform(0, 500, count)
    labels["w"], labels["h"] = rng.uniform(10, 300, count), rng.uniform(10, 200, count)
    labels["class_id"] = rng.integers(0, 7, count)
    labels["track_id"] = np.arange(count)
    labels["class_confidence"] = 1.0
    return labels


def write_recording(
    root: Path,
    recording_id: str,
    shards: Sequence[int] = (1, 2),
    events_per_window: int = 300,
    boxes_per_window: int = 3,
    seed: int = 0,
) -> None:
    """A recording of random windows; window k of shard n begins at (10·n + k)·50 ms."""
    rng = np.random.default_rng(seed)
    for number in shards:
        starts = [(number * 10 + k) * WINDOW_US for k in range(10)]
        write_shard(
            root,
            recording_id,
            number,
            [random_events(rng, start, events_per_window) for start in starts],
            [random_labels(rng, start, boxes_per_window) for start in starts],
        )


def damage_member(path: Path, member: str) -> None:
    """Flip one byte in the middle of a member's deflated data."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{member}.npy")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 60 + info.compress_size // 2] ^= 0xFF
    path.write_bytes(data)
