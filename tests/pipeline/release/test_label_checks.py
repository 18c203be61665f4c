"""Every check against a slow formulation of its own, and by name in windows made for it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.defects import BOX_FAULTS, Defect
from pipeline.pillars.event_facts import event_facts
from pipeline.release.label_checks import BoxCheckSettings, LabelChecks
from pipeline.release.shards import EVENT_DTYPE, LABEL_DTYPE, WINDOW_US

SENSOR = (64, 40)
LIMITS = BoxCheckSettings()
BEGIN = 10 * WINDOW_US


def box(x, y, w, h, *, class_id=2, track=0, t=0):
    return (t, x, y, w, h, class_id, 1.0, track)


def boxes(*rows):
    return np.array(list(rows), LABEL_DTYPE)


def events(*pixels):
    window = np.zeros(len(pixels), EVENT_DTYPE)
    window["t"] = BEGIN + np.arange(len(pixels))
    for row, (x, y) in zip(window, pixels, strict=True):
        row["x"], row["y"] = x, y
    return window


def judge(checks, labels, window=None, begin=BEGIN):
    facts = None if window is None else event_facts(window, SENSOR)
    return checks.judge(labels, window, facts, begin).found


def found(fault, *arguments, **options):
    return judge(LabelChecks(SENSOR), *arguments, **options)[fault].tolist()


# --- slow formulations: plain Python, one box at a time ----------------------------------------


def is_usable(row, begin):
    x, y, w, h = (float(row[name]) for name in "xywh")
    if not np.isfinite([x, y, w, h]).all() or row["class_id"] > 6:
        return False
    if begin is not None and row["t"] != 0 and not begin <= row["t"] <= begin + WINDOW_US:
        return False
    inside = x < SENSOR[0] and y < SENSOR[1] and x + w > 0 and y + h > 0
    return inside and 0 < w <= SENSOR[0] and h > 0


def overlap(a, b):
    ax, ay, aw, ah = (float(a[name]) for name in "xywh")
    bx, by, bw, bh = (float(b[name]) for name in "xywh")
    w = min(ax + aw, bx + bw) - max(ax, bx)
    h = min(ay + ah, by + bh) - max(ay, by)
    both = max(w, 0) * max(h, 0)
    return both / (aw * ah + bw * bh - both)


def slow_duplicates(labels, begin):
    answers, first = [], []
    for row in labels:
        again = is_usable(row, begin) and any(
            row["class_id"] == other["class_id"] and overlap(row, other) > LIMITS.overlap
            for other in first
        )
        answers.append(again)
        if is_usable(row, begin) and not again:
            first.append(row)
    return answers


def slow_without_events(labels, begin, window):
    image = np.zeros(SENSOR[::-1], int)
    for event in window:
        if event["x"] < SENSOR[0] and event["y"] < SENSOR[1]:
            image[event["y"], event["x"]] += 1
    answers = []
    for row in labels:
        count = 1
        if is_usable(row, begin):
            x, y, w, h = (float(row[name]) for name in "xywh")
            columns = [c for c in range(SENSOR[0]) if c + 1 > x and c < x + w]
            rows = [r for r in range(SENSOR[1]) if r + 1 > y and r < y + h]
            count = image[np.ix_(rows, columns)].sum()
        answers.append(count == 0)
    return answers


class SlowTracks:
    """Every box a track ever had, looked through again for each new one."""

    def __init__(self):
        self.seen = {}  # id: [(time, corners, was believed), …]

    def judge(self, labels, begin, known):
        answers = [False] * len(labels)
        usable = [is_usable(row, begin if known else None) for row in labels]
        middle = begin + WINDOW_US // 2
        for i, row in enumerate(labels):
            track = int(row["track_id"])
            same = [j for j, r in enumerate(labels) if usable[j] and r["track_id"] == track]
            if not usable[i] or track == 0 or len(same) > 1:
                continue
            t = int(row["t"]) or middle
            x, y, w, h = (float(row[name]) for name in "xywh")
            now = (x, y, x + w, y + h)
            past = self.seen.get(track, [])
            if past and abs(middle - past[-1][0]) > LIMITS.memory_windows * WINDOW_US:
                past = []
            before = [p for p in past if p[2]][-1:] + past[-1:]
            possible = not before or any(self.can(p, (t, now)) for p in before)
            answers[i] = not possible
            self.seen[track] = [*past, (t, now, possible)]
        # A track that is away for too long is forgotten even where the clock turns back later.
        for track in list(self.seen):
            if abs(middle - self.seen[track][-1][0]) > LIMITS.memory_windows * WINDOW_US:
                del self.seen[track]
        return answers

    @staticmethod
    def can(before, now):
        elapsed = max(abs(now[0] - before[0]), WINDOW_US) / 1e6
        a, b = before[1], now[1]
        moved = np.hypot((b[0] + b[2] - a[0] - a[2]) / 2, (b[1] + b[3] - a[1] - a[3]) / 2)
        if moved > LIMITS.widths_per_second * SENSOR[0] * elapsed:
            return False
        for x1, y1, x2, y2 in (a, b):
            if x1 <= 1 or y1 <= 1 or x2 >= SENSOR[0] - 1 or y2 >= SENSOR[1] - 1:
                return True
        ratios = []
        for axis in (0, 1):
            sides = [max(c[axis + 2] - c[axis], LIMITS.least_side) for c in (a, b)]
            ratios.append(max(sides) / min(sides))
        return max(ratios) <= LIMITS.growth ** (elapsed * 1e6 / WINDOW_US)


# --- drawn windows -----------------------------------------------------------------------------

# Quarters of a pixel: exact in float32, so that both sides judge the same numbers.
quarters = st.integers(-40, 300).map(lambda n: n / 4)
sides = st.one_of(st.integers(-4, 280).map(lambda n: n / 4), st.just(np.nan), st.just(np.inf))
drawn_box = st.builds(
    box,
    quarters,
    quarters,
    sides,
    sides,
    class_id=st.sampled_from([0, 2, 2, 2, 7]),
    track=st.integers(0, 3),
    t=st.sampled_from([0, 0, 1, BEGIN, BEGIN + 30_000, BEGIN + WINDOW_US + 1]),
)


@st.composite
def drawn_boxes(draw):
    """Boxes, and near copies of some of them."""
    rows = draw(st.lists(drawn_box, max_size=6))
    for row in rows[: draw(st.integers(0, 3))]:
        shift = draw(st.integers(-4, 4)) / 4
        rows.append((row[0], row[1] + shift, *row[2:]))
    return boxes(*rows)


pixels = st.tuples(st.integers(0, 70), st.integers(0, 45))


@settings(max_examples=150, deadline=None)
@given(labels=drawn_boxes(), window=st.lists(pixels, max_size=30).map(lambda p: events(*p)))
def test_duplicates_and_boxes_without_events_are_those_of_a_slow_look(labels, window):
    answers = judge(LabelChecks(SENSOR), labels, window)
    assert answers[Defect.DUPLICATE_BOX].tolist() == slow_duplicates(labels, BEGIN)
    has_events = event_facts(window, SENSOR).in_range > 0 and len(labels) > 0
    assert (Defect.BOX_WITHOUT_EVENTS in answers) == has_events
    if has_events:
        expected = slow_without_events(labels, BEGIN, window)
        assert answers[Defect.BOX_WITHOUT_EVENTS].tolist() == expected


@settings(max_examples=100, deadline=None)
@given(
    windows=st.lists(
        st.tuples(st.sampled_from([1, 1, 1, 2, 9, 10, 11, -1]), drawn_boxes()), max_size=12
    ),
    known=st.booleans(),
)
def test_jumps_are_those_of_a_slow_look(windows, known):
    checks, slow = LabelChecks(SENSOR), SlowTracks()
    begin = 20 * WINDOW_US
    for step, labels in windows:
        begin += step * WINDOW_US
        labels = labels.copy()
        labels["t"][labels["t"] == BEGIN] = begin + 20_000
        window = events((1, 1)) if known else None
        expected = slow.judge(labels, begin, known)
        assert judge(checks, labels, window, begin)[Defect.BOX_JUMP].tolist() == expected


# --- by name -----------------------------------------------------------------------------------


def test_a_box_of_the_same_place_and_class_is_a_duplicate_and_the_first_is_not():
    labels = boxes(box(4, 4, 20, 20), box(4.5, 4, 20, 20), box(4, 4, 20, 20, class_id=3))
    assert found(Defect.DUPLICATE_BOX, labels) == [False, True, False]
    assert found(Defect.DUPLICATE_BOX, boxes(box(4, 4, 20, 20), box(6, 4, 20, 20))) == [False] * 2


def test_one_event_at_the_rim_of_a_box_is_enough():
    labels = boxes(box(8.5, 8.5, 10, 10))
    for pixel in ((8, 8), (18, 18), (8, 18)):
        assert found(Defect.BOX_WITHOUT_EVENTS, labels, events(pixel)) == [False]
    for pixel in ((7, 10), (19, 10), (10, 7), (10, 19)):
        assert found(Defect.BOX_WITHOUT_EVENTS, labels, events(pixel)) == [True]


def test_a_very_large_sensor_is_looked_at_in_coarser_cells():
    sensor = (16384, 16384)
    checks = LabelChecks(sensor)
    assert checks.cells.sums.nbytes < 1 << 20
    window = events((16383, 16383), (99, 30))
    labels = boxes(box(16380, 16380, 10, 10), box(90, 20, 10, 11), box(90, 20, 9, 10))
    found = checks.judge(labels, window, event_facts(window, sensor), BEGIN).found
    assert found[Defect.BOX_WITHOUT_EVENTS].tolist() == [False, False, True]


def test_an_empty_window_says_nothing_of_its_boxes():
    assert Defect.BOX_WITHOUT_EVENTS not in judge(LabelChecks(SENSOR), boxes(box(1, 1, 9, 9)))
    window = events((64, 3))
    labels = boxes(box(1, 1, 9, 9))
    assert Defect.BOX_WITHOUT_EVENTS not in judge(LabelChecks(SENSOR), labels, window)


def track_of(*places, steps=None):
    checks, answers, begin = LabelChecks(SENSOR), [], 0
    for step, place in zip(steps or [1] * len(places), places, strict=True):
        begin += step * WINDOW_US
        labels = boxes(box(*place, track=5))
        answers.append(bool(judge(checks, labels, begin=begin)[Defect.BOX_JUMP][0]))
    return answers


@pytest.mark.parametrize(
    ("places", "jumps"),
    [
        ([(10, 10, 9, 9), (25, 10, 9, 9), (40, 10, 9, 9)], [0, 0, 0]),  # 16 px a window are allowed
        ([(10, 10, 9, 9), (27, 10, 9, 9), (11, 10, 9, 9)], [0, 1, 0]),  # a stray is one jump
        ([(10, 10, 9, 9), (40, 10, 9, 9), (41, 10, 9, 9)], [0, 1, 0]),  # as is a leap for good
        ([(10, 10, 9, 9), (12, 6, 9, 28), (12, 10, 9, 9)], [0, 0, 0]),  # short sides count as 20
        ([(10, 5, 21, 21), (3, 5, 43, 21), (10, 5, 21, 21)], [0, 1, 0]),
        ([(10, 5, 21, 21), (1, 5, 43, 21), (10, 5, 21, 21)], [0, 0, 0]),  # at the border
    ],
)
def test_a_track_moves_and_grows_within_limits(places, jumps):
    assert track_of(*places) == [bool(jump) for jump in jumps]


def test_time_that_passes_lets_a_track_go_farther_until_it_is_forgotten():
    there = [(10, 10, 9, 9), (40, 10, 9, 9)]
    assert [track_of(*there, steps=[1, n])[1] for n in (1, 2, 11)] == [True, False, False]


def test_a_track_number_that_stands_twice_or_is_0_says_nothing():
    checks = LabelChecks(SENSOR)
    first = boxes(box(4, 10, 9, 9, track=1), box(4, 10, 9, 9), box(4, 20, 9, 9, track=2))
    then = boxes(box(50, 10, 9, 9, track=1), box(50, 10, 9, 9), box(50, 10, 9, 9, track=1))
    judge(checks, first, begin=0)
    assert not judge(checks, then, begin=WINDOW_US)[Defect.BOX_JUMP].any()


def test_faults_are_counted_and_chosen_by_name():
    checks = LabelChecks(SENSOR)
    labels = boxes(box(4, 4, 20, 20), box(4, 4, 20, 20), box(30, 30, 5, 5))
    window = events((5, 5))
    faults = checks.judge(labels, window, event_facts(window, SENSOR), BEGIN)
    assert faults.counts() == {Defect.DUPLICATE_BOX: 1, Defect.BOX_WITHOUT_EVENTS: 1}
    assert faults.any_of(BOX_FAULTS).tolist() == [False, True, True]
    only = faults.only([Defect.DUPLICATE_BOX])
    assert only.any_of(BOX_FAULTS).tolist() == [False, True, False]
    assert only.counts() == {Defect.DUPLICATE_BOX: 1}
