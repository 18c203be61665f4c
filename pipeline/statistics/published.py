"""The release's published label counts, and the rules that may have made them."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import SPLITS
from pipeline.statistics.schema import PublishedStatistics
from pipeline.statistics.summaries import tidy

#: Boxes of three of the seven classes; which rule was applied to them is not stated.
PUBLISHED = {
    "train": {"car": 800_420, "pedestrian": 429_849, "two wheeler": 57_651},
    "val": {"car": 151_200, "pedestrian": 46_269, "two wheeler": 8_135},
    "test": {"car": 149_856, "pedestrian": 71_986, "two wheeler": 11_511},
}
EVERY_BOX = "every box"
KEPT = "the label rules of this source"

Counts = Mapping[str, Mapping[str, int]]  # of a split and a class


def is_released(classes: Sequence[str]) -> bool:
    """Whether a source with these classes, by number, can be the release."""
    return tuple(classes) == CLASS_NAMES


def counts_by_rule(boxes: np.ndarray, sensor: tuple[int, int]) -> dict[str, np.ndarray]:
    """Boxes that each rule keeps which a manifest does not count, by class number.

    Args:
        boxes: float64 ``[M, 5]``, x, y, w, h in pixels as the release has them, and class number.
        sensor: width and height in pixels.
    """
    x, y, w, h, number = boxes.T
    width, height = sensor
    with np.errstate(invalid="ignore"):
        inside = (x >= 0) & (y >= 0) & (x + w <= width) & (y + h <= height)
        large = (w**2 + h**2 >= 60**2) & (w >= 20) & (h >= 20)
        rules = {
            "no wider than the sensor": w <= width,
            "inside the frame": inside,
            "60 pixels across and 20 a side, not cropped": large,
            "60 pixels across and 20 a side, inside the frame": large & inside,
        }
    return {
        rule: np.bincount(number[kept].astype(np.int64), minlength=len(CLASS_NAMES))
        for rule, kept in rules.items()
    }


def beside_published(counts: Mapping[str, Counts]) -> PublishedStatistics:
    """Published counts beside those of each rule, ``counts[rule][split][class]``."""
    total = sum(sum(row.values()) for row in PUBLISHED.values())
    ours = {
        rule: {
            split: {name: of_split[split][name] for name in row} for split, row in PUBLISHED.items()
        }
        for rule, of_split in counts.items()
        if all(name in of_split[split] for split in SPLITS for name in PUBLISHED[split])
    }
    away = {
        rule: sum(
            abs(of_split[split][name] - number)
            for split, row in PUBLISHED.items()
            for name, number in row.items()
        )
        for rule, of_split in ours.items()
    }
    return PublishedStatistics(
        published=PUBLISHED,
        counts=ours,
        difference={rule: tidy(count / total, 6) for rule, count in away.items()},
        reproduced_by=tuple(rule for rule, count in away.items() if not count),
    )
