"""The names of everything known to go wrong in release data.

One vocabulary for the scanner, the cache, the statistics and the simulator. A defect is *fatal* for
a window when its events or labels cannot be used as they stand; the others are counted and the
window is kept.
"""

from enum import StrEnum


class Defect(StrEnum):
    """A named fault of a shard, a window or a box; the value is what files and reports show."""

    BAD_CRC = "bad-crc"  # a member's bytes do not match its CRC-32
    UNREADABLE_FILE = "unreadable-file"  # not npz, or truncated
    MISSING_EVENT_FILE = "missing-event-file"
    MISSING_LABEL_FILE = "missing-label-file"
    MISSING_MEMBER = "missing-member"  # fewer than ten windows
    WRONG_DTYPE = "wrong-dtype"
    BAD_POLARITY = "bad-polarity"  # p is neither 0 nor 1
    UNSORTED_TIME = "unsorted-time"
    EMPTY_WINDOW = "empty-window"  # no event inside the sensor
    SINGLE_TIMESTAMP = "single-timestamp"
    SINGLE_POLARITY = "single-polarity"
    TIME_GAP = "time-gap"  # the window does not follow the one before it
    BOX_OUT_OF_FRAME = "box-out-of-frame"
    BOX_TOO_WIDE = "box-too-wide"
    BOX_NOT_FINITE = "box-not-finite"
    WRONG_CLASS = "wrong-class"  # class number outside 0…6
    OVER_60_BOXES = "over-60-boxes"


#: Defects for which a window has no usable events or labels.
FATAL = frozenset(
    {
        Defect.BAD_CRC,
        Defect.UNREADABLE_FILE,
        Defect.MISSING_EVENT_FILE,
        Defect.MISSING_LABEL_FILE,
        Defect.MISSING_MEMBER,
        Defect.WRONG_DTYPE,
        Defect.BAD_POLARITY,
    }
)
