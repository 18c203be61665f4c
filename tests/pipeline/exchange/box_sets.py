"""Boxes of any recordings, for hypothesis."""

import numpy as np
from hypothesis import strategies as st

from pipeline.exchange.records import BOX_DTYPE, BoxSet, RecordingBoxes

SENSOR = (1280, 720)
_part = st.text("abcXYZ019_-ü", min_size=1, max_size=8)
names = st.lists(_part, min_size=1, max_size=3).map("/".join)
class_names = st.lists(
    st.text("abcdefgh", min_size=1, max_size=6).filter(lambda name: name != "all"),
    min_size=1,
    max_size=5,
    unique=True,
).map(tuple)


def _floats(low: float, high: float):
    return st.floats(low, high, width=32, allow_nan=False)


@st.composite
def box_sets(draw, *, inside: bool = False, scored: bool | None = None) -> BoxSet:
    """Any boxes that can be; with ``inside`` they lie within the sensor and have no track."""
    classes = draw(class_names)
    recordings = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        numbers = sorted(draw(st.sets(st.integers(0, 99_999), max_size=4)))
        first = draw(st.integers(0, 1 << 40))
        count = draw(st.integers(0, 6)) if numbers else 0
        window = sorted(
            draw(st.lists(st.integers(0, max(len(numbers) - 1, 0)), min_size=count, max_size=count))
        )
        boxes = np.zeros(count, BOX_DTYPE)
        times = np.array([first + 50_000 * number for number in numbers], np.int64)
        for k in range(count):
            if inside:
                x, y = draw(_floats(0, 1279)), draw(_floats(0, 719))
                w, h = (draw(_floats(0, 1)) * (side - at) for side, at in ((1280, x), (720, y)))
                t, track = times[window[k]], 0
            else:
                x, y, w, h = (draw(_floats(-(2.0**120), 2.0**120)) for _ in range(4))
                t, track = draw(st.integers(-(1 << 60), 1 << 60)), draw(st.integers(0, 2**32 - 1))
            score = draw(_floats(0, 1))
            boxes[k] = (t, x, y, w, h, draw(st.integers(0, len(classes) - 1)), track, score)
        recordings.append(
            RecordingBoxes(
                name,
                SENSOR,
                np.array(numbers, np.int64),
                times,
                np.array(window, np.int64),
                boxes,
            )
        )
    is_scored = draw(st.booleans()) if scored is None else scored
    return BoxSet(tuple(recordings), classes, is_scored)


def assert_same(found: BoxSet, expected: BoxSet) -> None:
    """Equal to the bit; a recording without windows has no place in some formats."""
    assert (found.class_names, found.scored) == (expected.class_names, expected.scored)
    assert [r.name for r in found.recordings] == [r.name for r in expected.recordings]
    for one, other in zip(found.recordings, expected.recordings, strict=True):
        assert one.sensor == other.sensor
        for name in ("numbers", "times", "window", "boxes"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
