"""The names of everything known to go wrong in release data.

One vocabulary for the scanner, the cache, the statistics and the simulator. A defect is *fatal* for
a window when its events or labels cannot be used as they stand: the policy for such windows decides.
The others are counted and the window is kept; a comment says what becomes of the event or the box.
:mod:`pipeline.release.windows` finds the defects of a window, :mod:`pipeline.release.gaps` those
between two windows.
"""

from dataclasses import dataclass
from enum import StrEnum


class Defect(StrEnum):
    """A named fault of a shard, a window or a box; the value is what files and reports show."""

    # Of a file, or of a member of an event or a label file.
    BAD_CRC = "bad-crc"  # a member's bytes do not match its CRC-32
    UNREADABLE_FILE = "unreadable-file"  # not npz, or truncated; a member that is no array
    MISSING_EVENT_FILE = "missing-event-file"
    MISSING_LABEL_FILE = "missing-label-file"
    TOO_LARGE = "too-large"  # a file, a member or a window beyond what memory is given to
    DUPLICATE_MEMBER = "duplicate-member"  # nothing says which one counts
    MISSING_MEMBER = "missing-member"  # fewer than ten windows of events or of labels
    WRONG_DTYPE = "wrong-dtype"  # not the fields of events or boxes, or no whole numbers that fit
    BAD_POLARITY = "bad-polarity"  # p is neither 0 nor 1
    # Of a window's events.
    UNSORTED_TIME = "unsorted-time"  # of all events, those outside the sensor too
    EMPTY_WINDOW = "empty-window"  # no event inside the sensor
    SINGLE_TIMESTAMP = "single-timestamp"  # two or more events inside the sensor, at one time
    SINGLE_POLARITY = "single-polarity"  # two or more events inside the sensor, of one polarity
    LONG_WINDOW = "long-window"  # events inside the sensor lie in more than one slot of 50 ms
    EVENT_OUT_OF_FRAME = "event-out-of-frame"  # outside the sensor; such an event is left out
    TIME_GAP = "time-gap"  # the window does not follow the one before it
    # Of boxes.
    BOX_OUT_OF_FRAME = "box-out-of-frame"  # cut at the sensor's border, as the release does
    BOX_TOO_WIDE = "box-too-wide"  # left out, as are the next three
    BOX_NOT_FINITE = "box-not-finite"
    BOX_OUT_OF_TIME = "box-out-of-time"  # of another time than its window; 0 is no time
    WRONG_CLASS = "wrong-class"  # class number outside 0…6
    BAD_CONFIDENCE = "bad-confidence"  # not from 0 to 1; nothing uses it, and the box stays
    OVER_60_BOXES = "over-60-boxes"
    # Of boxes beside other boxes, events and windows; kept unless `voxelize --drop` says otherwise.
    DUPLICATE_BOX = "duplicate-box"  # of the class and place of one before it in the window
    BOX_WITHOUT_EVENTS = "box-without-events"  # in a window that has events
    BOX_JUMP = "box-jump"  # farther from its track's last box, or of another size, than can be


#: Defects for which a window has no usable events or labels.
FATAL = frozenset(
    {
        Defect.BAD_CRC,
        Defect.UNREADABLE_FILE,
        Defect.TOO_LARGE,
        Defect.DUPLICATE_MEMBER,
        Defect.MISSING_EVENT_FILE,
        Defect.MISSING_LABEL_FILE,
        Defect.MISSING_MEMBER,
        Defect.WRONG_DTYPE,
        Defect.BAD_POLARITY,
    }
)

#: Defects of a box beside other boxes, events and windows; a cache leaves out the boxes it is told to.
BOX_FAULTS = (Defect.DUPLICATE_BOX, Defect.BOX_WITHOUT_EVENTS, Defect.BOX_JUMP)


@dataclass(frozen=True)
class EventFacts:
    """What is known of one window's events that can be read.

    Attributes:
        total: Events in the window.
        in_range: Those inside the sensor.
        positive: Those inside the sensor with polarity 1.
        first_us: Earliest time in µs of the events inside the sensor, of all events where none is
            inside; ``None`` without any event.
        last_us: The latest time of the same events.
        is_sorted: No event, inside or outside the sensor, is earlier than the one before it.
    """

    total: int
    in_range: int
    positive: int
    first_us: int | None
    last_us: int | None
    is_sorted: bool
