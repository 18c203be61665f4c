"""The edits that plant a faulty box for which it takes more than the labels of one window."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.defects import Defect
from pipeline.release.shards import WINDOW_US, WINDOWS_PER_SHARD, shard_path, write_npz
from pipeline.simulation.defect_edits import NEW_TRACK, Shard, add_boxes, read_npz


def plant_box_without_events(root: Path, shard: Shard, window: int, sensor: tuple[int, int]) -> str:
    """Add a box where the fewest others are, and take the events out of it."""
    width, height = sensor
    w, h = 0.1 * width, 0.1 * height
    (events, labels), paths = _both(root, shard)
    boxes = labels[f"l{window}"]
    places = [(x * w, y * h) for y in range(1, 9) for x in range(1, 9)]
    covered = [
        (boxes["x"] < x + w)
        & (boxes["x"] + boxes["w"] > x)
        & (boxes["y"] < y + h)
        & (boxes["y"] + boxes["h"] > y)
        for x, y in places
    ]
    x, y = places[int(np.argmin([several.sum() for several in covered]))]
    member = events[f"e{window}"]
    inside = (member["x"] + 1 > x) & (member["x"] < x + w)
    inside &= (member["y"] + 1 > y) & (member["y"] < y + h)
    events[f"e{window}"] = member[~inside]
    labels[f"l{window}"] = add_boxes(boxes, _middle(shard, window), [(x, y, w, h)], 2)
    write_npz(paths[0], events)
    write_npz(paths[1], labels)
    return "a box added, and the events in it taken out"


def plant_box_jump(root: Path, shard: Shard, window: int, sensor: tuple[int, int]) -> str:
    """Add a track that is at the left in the window before ``window``, and at the right in it."""
    w, h = 0.2 * sensor[0], 0.2 * sensor[1]
    (_, labels), (_, path) = _both(root, shard)
    for k, x in ((window - 1, w), (window, 3 * w)):
        added = add_boxes(labels[f"l{k}"], _middle(shard, k), [(x, 0.5 * sensor[1], w, h)], 2)
        added["track_id"][-1] = 2 * NEW_TRACK
        labels[f"l{k}"] = added
    write_npz(path, labels)
    return "a track added that leaps over half the sensor"


def _both(root: Path, shard: Shard) -> tuple[list[dict[str, np.ndarray]], list[Path]]:
    """Members of a shard's event and label file, and where the two are."""
    paths = [shard_path(root, *shard, kind) for kind in ("events", "labels")]
    return [read_npz(path) for path in paths], paths


def _middle(shard: Shard, window: int) -> int:
    """Time in the middle of a simulated window, µs."""
    return (shard[1] * WINDOWS_PER_SHARD + window) * WINDOW_US + WINDOW_US // 2


#: The edits of such faults.
BOX_EDITS: dict[Defect, Callable[[Path, Shard, int, tuple[int, int]], str]] = {
    Defect.BOX_WITHOUT_EVENTS: plant_box_without_events,
    Defect.BOX_JUMP: plant_box_jump,
}
