"""How far a subset's class shares drift from those of the manifest it was chosen from."""

from dataclasses import dataclass

import numpy as np

from pipeline.release.shards import SPLITS
from pipeline.selection.manifest import Manifest


@dataclass(frozen=True)
class DriftRow:
    """One class in one split (or ``all``): boxes, and the share among the classes considered."""

    split: str
    class_name: str
    source_boxes: int
    source_share: float
    subset_boxes: int
    subset_share: float


@dataclass(frozen=True)
class Drift:
    """How far a subset's class shares are from its source's.

    Total variation is half the sum of absolute differences of shares: 0 the same, 1 disjoint.

    Attributes:
        rows: Every split and class, and ``all`` splits together.
        distance: Total variation by split.
        mean_distance: Its mean, the splits weighed with their boxes in the source.
    """

    rows: tuple[DriftRow, ...]
    distance: dict[str, float]
    mean_distance: float

    def table(self) -> str:
        """The rows as aligned text, shares in percent and their difference in points."""
        head = ("split", "class", "source", "share", "subset", "share", "drift")
        lines = [head]
        for row in self.rows:
            difference = 100 * (row.subset_share - row.source_share)
            lines.append(
                (
                    row.split,
                    row.class_name,
                    str(row.source_boxes),
                    f"{100 * row.source_share:.2f}%",
                    str(row.subset_boxes),
                    f"{100 * row.subset_share:.2f}%",
                    f"{difference:+.2f}",
                )
            )
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        text = []
        for line in lines:
            cells = [
                cell.ljust(width) if k < 2 else cell.rjust(width)
                for k, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            text.append("  ".join(cells).rstrip())
        far = ", ".join(f"{split} {value:.4f}" for split, value in self.distance.items())
        text.append(f"total variation: {far}; mean over splits {self.mean_distance:.4f}")
        return "\n".join(text)


def class_shares(counts: np.ndarray) -> np.ndarray:
    """Counts ``[..., C]`` as shares of their sum; all zero where there is nothing."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)


def total_variation(shares: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Total variation between shares ``[..., C]`` and ``[C]``: ``[...]``, 0…1.

    Nothing at all (shares all zero) is as far as can be from any target that is not nothing.
    """
    distance = np.abs(shares - target).sum(axis=-1) / 2
    return np.where(shares.any(axis=-1) == target.any(), distance, 1.0)


def divergence(shares: np.ndarray, target: np.ndarray) -> float:
    """Kullback-Leibler divergence of shares ``[C]`` from ``target`` ``[C]``, in nats.

    Infinite where something is shared that the target has none of.
    """
    some = shares > 0
    if not target[some].all():
        return float("inf")
    return float((shares[some] * np.log(shares[some] / target[some])).sum())


def class_drift(source: Manifest, subset: Manifest, classes: tuple[int, ...]) -> Drift:
    """Drift of the shares among ``classes`` (numbers), over boxes that the label rules keep."""
    rows = []
    distance = {}
    weights = {}
    for split in (*SPLITS, "all"):
        before, after = (class_counts(manifest, split, classes) for manifest in (source, subset))
        if split != "all" and not source.split(split):
            continue
        shares = class_shares(before), class_shares(after)
        distance[split] = float(total_variation(shares[1], shares[0]))
        weights[split] = int(before.sum())
        rows += [
            DriftRow(
                split,
                source.class_map.classes[number],
                int(before[k]),
                float(shares[0][k]),
                int(after[k]),
                float(shares[1][k]),
            )
            for k, number in enumerate(classes)
        ]
    total = weights.pop("all")
    mean = sum(distance[split] * weight for split, weight in weights.items()) / max(1, total)
    return Drift(tuple(rows), distance, mean)


def class_counts(manifest: Manifest, split: str, classes: tuple[int, ...]) -> np.ndarray:
    """Boxes by class that the label rules keep, of a split or of ``all``, float64 ``[C]``."""
    rows = manifest.recordings if split == "all" else manifest.split(split)
    counts = [row.kept_counts[list(classes)] for row in rows]
    return np.array(counts, np.float64).reshape(len(rows), len(classes)).sum(axis=0)
