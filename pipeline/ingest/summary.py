"""What became of one raw recording, and how its files are named."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IngestSummary:
    """What became of one raw recording.

    ``windows`` were written in ``shards`` shards; ``empty_windows`` lie between them and hold no
    event; ``left_over`` windows at the end did not fill a shard. ``boxes`` are those written,
    ``None`` where the recording has no box file; ``other_boxes`` of its file were left out as of no
    class that was chosen. ``outside`` counts written events beyond the
    sensor, which the pillar encoder will drop. ``begin_us`` is what the recording's clock shows where
    that of the shards begins.
    """

    source: Path
    format: str
    begin_us: int
    recording_id: str
    sensor: tuple[int, int]
    events: int
    windows: int
    shards: int
    empty_windows: int
    left_over: int
    boxes: int | None
    outside: int
    other_boxes: int = 0

    def lines(self) -> list[str]:
        """Sentences for a person."""
        width, height = self.sensor
        said = [
            f"{self.recording_id}: {_count(self.events, 'event')} of a {width}x{height} sensor "
            f"({self.format}) in {_count(self.windows, 'window')}, {_count(self.shards, 'shard')}."
        ]
        if self.begin_us:
            said.append(f"Times count from {self.begin_us} µs of its clock.")
        if self.boxes is None:
            said.append(
                f"{self.source.name} has no box file ({box_path(self.source).name} beside it): "
                "its label arrays are empty."
            )
        else:
            said.append(f"{_count(self.boxes, 'box', 'boxes')} from {box_path(self.source).name}.")
        if self.other_boxes:
            said.append(f"{_count(self.other_boxes, 'box', 'boxes')} of other classes left out.")
        if self.empty_windows:
            said.append(f"{_count(self.empty_windows, 'window')} without events left out.")
        if self.left_over:
            said.append(
                f"{_count(self.left_over, 'window')} at the end thrown away: a shard needs ten."
            )
        if self.outside:
            said.append(f"{_count(self.outside, 'event')} outside the sensor kept as they are.")
        return said


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def recording_name(raw: Path) -> str:
    """``<name>`` of ``<name>_td.dat``, ``<name>.raw``, ``<name>_td.dat.h5`` and the like."""
    ending = r"(_td)?(\.dat|\.raw|\.aedat4)?(\.h5|\.hdf5)?$"
    return re.sub(ending, "", raw.name, count=1, flags=re.IGNORECASE)


def box_path(raw: Path) -> Path:
    """Where a recording's boxes are, if it has any: ``<name>_bbox.npy`` beside it."""
    return raw.with_name(f"{recording_name(raw)}_bbox.npy")
