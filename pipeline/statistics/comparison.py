"""This source's statistics beside those of another one."""

from collections.abc import Sequence

import numpy as np

from pipeline.release.shards import SPLITS
from pipeline.selection.drift import class_shares, total_variation
from pipeline.statistics.other import OtherBins, OtherSplit, OtherStatistics, histogram_of_all
from pipeline.statistics.schema import ComparedSplit, ComparedValues, Comparison, Histogram
from pipeline.statistics.summaries import tidy

ALL = "all"


def compare_statistics(this: OtherStatistics, other: OtherStatistics) -> Comparison:
    """What differs between two sources, both as their JSON tells it."""
    classes = list(dict.fromkeys([*this.classes, *other.classes]))
    both = (this, other)
    return Comparison(
        other_kind=other.source.kind,
        other_name=other.source.name,
        other_digest=other.source.digest,
        splits={name: _split(both, name, classes) for name in (*SPLITS, ALL)},
        values={
            "events": _values([None if s.events is None else s.events.bins for s in both]),
            "side": _values([None if s.boxes is None else s.boxes.side_histogram for s in both]),
            "ratio": _values([None if s.boxes is None else s.boxes.ratio_histogram for s in both]),
        },
    )


def _split(
    both: tuple[OtherStatistics, OtherStatistics], name: str, classes: Sequence[str]
) -> ComparedSplit:
    rows = [[s.splits[split] for split in (SPLITS if name == ALL else (name,))] for s in both]
    boxes = np.array([[sum(r.kept.get(c, 0) for r in some) for c in classes] for some in rows])
    recordings, windows = (
        tuple(sum(getattr(row, field) for row in some) for some in rows)
        for field in ("recordings", "windows")
    )
    shares = class_shares(boxes.astype(np.float64))
    drift = float(total_variation(shares[1], shares[0])) if boxes.any() else None
    return ComparedSplit(
        recordings=(recordings[0], recordings[1]),
        windows=(windows[0], windows[1]),
        events=(_events(rows[0]), _events(rows[1])),
        boxes={c: (int(boxes[0, k]), int(boxes[1, k])) for k, c in enumerate(classes)},
        class_drift=None if drift is None else tidy(drift, 6),
    )


def _events(rows: Sequence[OtherSplit]) -> int | None:
    known = [row.events for row in rows if row.events is not None]
    return sum(known) if len(known) == len(rows) else None


def _values(both: Sequence[OtherBins | None]) -> ComparedValues:
    """Two distributions in the same bins; of either the sum over its series."""
    here, there = (None if one is None else histogram_of_all(one) for one in both)
    medians = (_median(here), _median(there))
    if here is None or there is None or not here[1].any() or not there[1].any():
        return ComparedValues(medians, None, None)
    edges = np.union1d(here[0], there[0])
    counts = {name: _in_bins(one, edges) for name, one in (("this", here), ("other", there))}
    shares = [class_shares(row.astype(np.float64)) for row in counts.values()]
    return ComparedValues(
        medians=medians,
        histogram=Histogram(
            edges=tuple(edges.tolist()),
            counts={name: tuple(row.tolist()) for name, row in counts.items()},
        ),
        drift=tidy(float(total_variation(shares[1], shares[0])), 6),
    )


_Bins = tuple[np.ndarray, np.ndarray]  # edges [n + 1], counts [n]


def _in_bins(histogram: _Bins, edges: np.ndarray) -> np.ndarray:
    """The counts in the bins between ``edges``, which hold each of the histogram's own."""
    counts = np.zeros(len(edges) - 1, np.int64)
    counts[np.searchsorted(edges, histogram[0][:-1])] = histogram[1]
    return counts


def _median(histogram: _Bins | None) -> float | None:
    """Median of binned values, as if those of a bin lay evenly in it."""
    if histogram is None or not histogram[1].any():
        return None
    edges, counts = histogram
    until = np.concatenate([[0], np.cumsum(counts)])
    return tidy(float(np.interp(until[-1] / 2, until, edges)), 4)
