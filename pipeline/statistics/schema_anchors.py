"""How well anchors fit boxes, as the statistics hold it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnchorCounts:
    """Anchors, as a recipe's ``model.anchors`` names them, and the boxes without a positive one.

    ``without_positive[class][i]`` counts sampled boxes of size bin i. ``share_without_positive`` and
    ``mean_best_overlap`` weigh each class by all of its boxes; ``None`` without any.
    """

    levels: tuple[int, ...]
    base_scale: float
    scales: tuple[float, ...]
    ratios: tuple[float, ...]
    without_positive: dict[str, tuple[int, ...]]
    share_without_positive: float | None
    mean_best_overlap: float | None


@dataclass(frozen=True)
class AnchorStatistics:
    """The release's anchors and suggested ones, on a sample of the kept boxes of each class.

    An anchor is positive from an overlap of ``positive_iou`` on. Size bin i begins at
    ``size_edges[i]``, √(width · height) in grid units, and the last has no end. ``kept`` boxes of each
    class, of which ``sampled[class][i]`` of size bin i were drawn with ``sample_seed``: all of them,
    where there are few.
    """

    positive_iou: float
    size_edges: tuple[float, ...]
    kept: dict[str, int]
    sampled: dict[str, tuple[int, ...]]
    sample_seed: int
    released: AnchorCounts
    suggested: AnchorCounts
