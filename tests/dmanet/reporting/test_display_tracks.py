"""What looks like one object keeps its number, and with it its colour."""

import numpy as np

from dmanet.reporting.display_tracks import DisplayTracks
from pipeline.pictures.colours import track_colour

WINDOW = 50_000


def square(x: float, y: float, side: float = 10) -> list[float]:
    return [x, y, x + side, y + side]


def follow(tracks: DisplayTracks, window: int, boxes: list[list[float]], classes=None) -> list[int]:
    found = np.array(boxes, np.float32).reshape(-1, 4)
    kinds = np.zeros(len(found), np.int64) if classes is None else np.array(classes)
    return tracks.follow(found, kinds, window * WINDOW).tolist()


def test_two_objects_that_pass_each_other_keep_their_numbers_in_any_order():
    tracks = DisplayTracks()
    for window in range(20):
        right, left = square(3 * window, 0), square(57 - 3 * window, 4)
        numbers = follow(tracks, window, [right, left] if window % 2 else [left, right], [0, 1]
                         if window % 2 else [1, 0])  # fmt: skip
        assert numbers == ([1, 0] if window % 2 else [0, 1])


def test_the_largest_overlap_is_taken_first():
    tracks = DisplayTracks()
    assert follow(tracks, 0, [square(0, 0), square(6, 0)]) == [0, 1]
    assert follow(tracks, 1, [square(5, 0), square(1, 0)]) == [1, 0]


def test_an_object_that_is_missed_for_a_moment_keeps_its_number_and_a_late_one_gets_a_new_one():
    tracks = DisplayTracks()
    assert follow(tracks, 0, [square(0, 0)]) == [0]
    for window in (1, 2, 3):
        assert follow(tracks, window, []) == []
    assert follow(tracks, 4, [square(1, 0)]) == [0]
    assert follow(tracks, 9, [square(1, 0)]) == [1]  # a quarter of a second later


def test_another_class_or_a_place_apart_is_another_object_and_numbers_are_not_given_twice():
    tracks = DisplayTracks()
    given: list[int] = []
    assert follow(tracks, 0, [square(0, 0)], [0]) == [0]
    assert follow(tracks, 1, [square(0, 0)], [1]) == [1]
    assert follow(tracks, 2, [square(8, 0)], [0]) == [2]  # overlaps by a ninth
    rng = np.random.default_rng(0)
    for window in range(3, 60):
        boxes = [square(*rng.uniform(0, 1000, 2)) for _ in range(rng.integers(0, 5))]
        numbers = follow(tracks, window, boxes)
        assert len(set(numbers)) == len(numbers)
        given += [number for number in numbers if number not in given]
    assert given == sorted(given)
    assert len(given) > 50


def test_boxes_without_a_size_are_objects_of_their_own():
    tracks = DisplayTracks()
    assert follow(tracks, 0, [square(0, 0, 0)]) == [0]
    assert follow(tracks, 1, [square(0, 0, 0)]) == [1]


def test_colours_of_neighbouring_numbers_are_far_apart_and_bright():
    colours = np.array([track_colour(number) for number in range(40)])
    assert (colours.max(axis=1) == 255).all()
    for step in (1, 2, 3):
        assert (np.abs(colours[step:] - colours[:-step]).sum(axis=1) > 60).all()
    assert track_colour(7) == track_colour(7)
