"""What a dataset holds, in numbers: the dataclasses and the JSON they become.

``docs/statistics.md`` describes the JSON. The same cache or manifest gives the same bytes: no time
of day, no absolute path, a fixed seed for the one thing that is sampled.
"""

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from pipeline.statistics.schema_anchors import AnchorCounts, AnchorStatistics
from pipeline.statistics.schema_comparison import ComparedSplit, ComparedValues, Comparison
from pipeline.statistics.schema_motion import MotionStatistics
from pipeline.statistics.schema_published import PublishedStatistics
from pipeline.statistics.schema_samples import (
    HotSpot,
    HotSpotStatistics,
    PresetLosses,
    PresetStatistics,
)
from pipeline.statistics.schema_values import Histogram, Quantiles

__all__ = [
    "AnchorCounts",
    "AnchorStatistics",
    "BoxStatistics",
    "ComparedSplit",
    "ComparedValues",
    "Comparison",
    "DefectStatistics",
    "EventStatistics",
    "Histogram",
    "HotSpot",
    "HotSpotStatistics",
    "LabelCheckStatistics",
    "MotionStatistics",
    "OffsetStatistics",
    "PillarStatistics",
    "PresetLosses",
    "PresetStatistics",
    "PublishedStatistics",
    "Quantiles",
    "RecordingStatistics",
    "SequenceStatistics",
    "Source",
    "SplitStatistics",
    "Statistics",
    "StorageStatistics",
]

STATISTICS_FORMAT = "dmanet-statistics"
STATISTICS_VERSION = 2  # 1 lacks what schema_* hold, rates over time and ratios
CLIP_WINDOWS = 10  # consecutive windows of one training sample in the paper, and of one shard


@dataclass(frozen=True)
class Source:
    """What the numbers describe.

    ``kind`` is ``cache`` or ``manifest``; ``name`` the last part of its path, or of the release's
    root for a manifest. ``digest`` covers the content, ``fingerprint`` and ``settings`` are the
    cache's. ``subset`` tells how a manifest's recordings were chosen. ``class_map`` names the data
    set whose classes they are; ``None`` where nothing says which.
    """

    kind: str
    name: str
    digest: str
    fingerprint: str | None = None
    settings: dict[str, Any] | None = None
    labels_only: bool = False
    subset: dict[str, Any] | None = None
    class_map: str | None = None


@dataclass(frozen=True)
class SplitStatistics:
    """Sums over the recordings of one split.

    ``events``: as read, before any step. ``labels``: boxes by class name as the release has them;
    ``kept``: those that the label rules and the choice of classes keep. ``labelled_windows`` hold at
    least one kept box. Bytes are files on disk. ``None``: the source does not tell.
    """

    recordings: int
    windows: int
    hours: float
    events: int | None
    labels: dict[str, int]
    kept: dict[str, int]
    labelled_windows: int | None
    source_bytes: int
    cache_bytes: int | None


@dataclass(frozen=True)
class RecordingStatistics:
    """One recording. ``sensor`` is (width, height) in pixels.

    ``left_out`` and ``repeated`` count windows that the corruption policy left out or replaced by the
    one before; ``sequences`` runs of windows that follow one another; ``gaps`` the defect ``time-gap``,
    whatever the source: windows that were left out end a sequence too, and are no gap of the clock;
    ``events_per_window`` are events inside the sensor; ``positive_share`` is of those. ``rates`` are
    mean events a second in each slot of time since its begin, ``None`` where no window is.
    """

    id: str
    split: str
    sensor: tuple[int, int]
    windows: int
    left_out: int | None
    repeated: int | None
    sequences: int | None
    gaps: int
    events: int | None
    events_per_window: Quantiles | None
    positive_share: float | None
    labels: dict[str, int]
    kept: dict[str, int]
    defects: dict[str, int]
    source_bytes: int
    cache_bytes: int | None
    rates: tuple[float | None, ...] | None = None


@dataclass(frozen=True)
class DefectStatistics:
    """How often a defect occurs, in how many recordings, and how many windows it left out."""

    count: int
    recordings: int
    windows_left_out: int | None


@dataclass(frozen=True)
class EventStatistics:
    """Events inside the sensor, window by window; series are splits.

    ``positive_share`` leaves out windows without events. ``rate_over_time[split][i]`` sums up the
    ``rates`` of the split's recordings in slot i of ``slot_seconds``.
    """

    per_window: dict[str, Quantiles | None]
    per_window_histogram: Histogram
    positive_share: dict[str, Quantiles | None]
    positive_share_histogram: Histogram
    slot_seconds: int
    rate_over_time: dict[str, tuple[Quantiles | None, ...]]


@dataclass(frozen=True)
class PillarStatistics:
    """Pillars, window by window; series are the polarities ``negative`` and ``positive``.

    ``steps``: by split, events as read, in range, after deduplication, and points stored in pillars.
    ``full_windows`` hold as many pillars as the settings allow: they may have lost some.
    ``cells``: of one polarity's grid; ``occupied``: mean share of them. ``points_per_pillar[n]``
    counts pillars of n points and ``map`` (rows by columns over the frame) gives the mean pillars of
    a grid cell and window, both polarities together: these two come from ``sampled_windows`` windows
    drawn with ``sample_seed``; everything else from all windows.
    """

    steps: dict[str, dict[str, int]]
    cells: int
    per_window: dict[str, Quantiles | None]
    per_window_histogram: Histogram
    occupied: dict[str, float]
    empty_windows: dict[str, int]
    full_windows: dict[str, int]
    sampled_windows: int
    sample_seed: int
    points_per_pillar: tuple[int, ...]
    map: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class BoxStatistics:
    """Kept boxes; series are class names unless said otherwise.

    ``per_window[split][n]`` counts windows of n kept boxes. Sizes are in sensor pixels after cropping
    (``*_pixels``) and in grid units, which the network sees (``*_grid``); ratios are height over width.
    ``side_histogram``: √(width · height), and ``ratio_histogram``: both in pixels.
    ``sizes[class][i][j]`` counts boxes in height bin i and width bin j of ``size_edges``, grid units.
    ``places[class]``: box centres, rows by columns over the frame. ``track_windows``: windows that
    hold a track's box.
    """

    per_window: dict[str, tuple[int, ...]]
    width_pixels: dict[str, Quantiles | None]
    height_pixels: dict[str, Quantiles | None]
    width_grid: dict[str, Quantiles | None]
    height_grid: dict[str, Quantiles | None]
    ratio_pixels: dict[str, Quantiles | None]
    ratio_grid: dict[str, Quantiles | None]
    side_histogram: Histogram
    ratio_histogram: Histogram
    size_edges: tuple[float, ...]
    sizes: dict[str, tuple[tuple[int, ...], ...]]
    places: dict[str, tuple[tuple[int, ...], ...]]
    track_windows: dict[str, Quantiles | None]


@dataclass(frozen=True)
class SequenceStatistics:
    """Runs of windows that follow one another; series are splits.

    ``windows``: their lengths; ``clips``: how many disjoint runs of ten windows fit. ``gap_ms``: time
    missing between two runs, over all splits, whether the clock has a gap there or windows were left
    out; ``backwards`` counts clocks that jump back, which are not in ``gap_ms``.
    """

    windows: dict[str, Quantiles | None]
    clips: dict[str, int]
    gap_ms: Quantiles | None
    backwards: int


@dataclass(frozen=True)
class StorageStatistics:
    """Bytes on disk: the source's files by kind, and the cache's arrays stored and decoded."""

    events: int
    labels: int
    arrays_stored: dict[str, int] | None
    arrays_decoded: dict[str, int] | None


@dataclass(frozen=True)
class OffsetStatistics:
    """By how many windows of a recording boxes are late, negative: early; ``None``: not told.

    With 95 % of certainty it is from ``low`` to ``high``; ``boxes`` were looked at.
    """

    windows: int | None
    low: int
    high: int
    boxes: int

    @property
    def is_sure(self) -> bool:
        """Boxes are late, or early, whatever the uncertainty."""
        return self.windows is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class LabelCheckStatistics:
    """Boxes beside other boxes, events and tracks, of a manifest's recordings.

    ``recordings`` were looked at. ``faults[fault][class]`` counts faulty boxes, of all recordings and
    ``by_recording``, where there are some. ``offsets`` are of recordings whose events were read.
    """

    recordings: int
    faults: dict[str, dict[str, int]]
    by_recording: dict[str, dict[str, dict[str, int]]]
    offsets: dict[str, OffsetStatistics]


@dataclass(frozen=True)
class Statistics:
    """Everything a report shows. Parts that a manifest alone cannot tell are ``None``.

    ``classes`` are the names of the classes that are kept, in the cache's output order; the keys of
    every ``kept``. ``defects`` lists those that occur, by the names of :mod:`pipeline.defects`.
    """

    source: Source
    classes: tuple[str, ...]
    splits: dict[str, SplitStatistics]
    recordings: tuple[RecordingStatistics, ...]
    defects: dict[str, DefectStatistics]
    storage: StorageStatistics
    events: EventStatistics | None = None
    pillars: PillarStatistics | None = None
    boxes: BoxStatistics | None = None
    sequences: SequenceStatistics | None = None
    label_checks: LabelCheckStatistics | None = None
    anchors: AnchorStatistics | None = None
    hot_spots: HotSpotStatistics | None = None
    presets: PresetStatistics | None = None
    published: PublishedStatistics | None = None
    comparison: Comparison | None = None
    motion: MotionStatistics | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: ``format`` and ``version`` first, then the fields in their order."""
        return {
            "format": STATISTICS_FORMAT,
            "version": STATISTICS_VERSION,
            "created_with": f"dmanet-events {version('dmanet-events')}",
            **asdict(self),
        }
