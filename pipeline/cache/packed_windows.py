"""What a cache's reader gives: consecutive windows of one recording, as stored, decoded on demand."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.pillars.encoding import PillarEncoding

if TYPE_CHECKING:
    from pipeline.pillars.unpacking import PillarTensors


@dataclass(frozen=True)
class PackedWindows:
    """A range of n consecutive windows of one recording, as stored.

    Attributes:
        recording: its id.
        first: number of the first window in the recording.
        encoding: that the windows were packed by.
        pillars: uint32 ``[P]``, window-major, negative before positive, see
            :mod:`pipeline.pillars.bit_layout`.
        points: ``[Q]`` of the encoding's ``point_dtype``, in the same order.
        offsets: int64 ``[2n+1, 2]``, first pillar and first point of segment
            ``2·window + polarity``, counted from this range's begin.
        spans: int64 ``[n]``, µs from a window's first event to its last.
        t_start: int64 ``[n]``, µs, a window's begin on the recording's clock.
        starts: bool ``[n]``, the window does not follow the one before it.
        boxes: float32 ``[K, 4]``, x1, y1, x2, y2 in grid units.
        classes: int64 ``[K]``, index into the settings' ``classes``.
        box_window: int64 ``[K]``, a box's window, 0…n−1.
        tracks: int64 ``[K]``, a box's track number in the release.
    """

    recording: str
    first: int
    encoding: PillarEncoding
    pillars: np.ndarray
    points: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray
    t_start: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    box_window: np.ndarray
    tracks: np.ndarray

    def __len__(self) -> int:
        return len(self.spans)

    def tensors(self, window: int, polarity: int) -> "PillarTensors":
        """Decode one window (0…n−1) and polarity (0 negative, 1 positive).

        Raises:
            DataError: the stored pillars and points contradict each other.
        """
        from pipeline.pillars.unpacking import decode_points  # and with it a compiler, if needed

        (p0, q0), (p1, q1) = self.offsets[2 * window + polarity : 2 * window + polarity + 2]
        return decode_points(
            self.pillars[p0:p1], self.points[q0:q1], int(self.spans[window]), self.encoding
        )
