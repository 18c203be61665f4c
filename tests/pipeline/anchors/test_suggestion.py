"""Suggested anchors: never worse, better where boxes are odd, and the same again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.anchors.fit import POSITIVE_IOU, best_anchor_iou
from pipeline.anchors.settings import AnchorSettings
from pipeline.anchors.suggestion import suggest_anchors

RELEASED = AnchorSettings()
GRID = (128, 128)


def scattered(width: float, height: float, count: int = 60, seed: int = 0) -> np.ndarray:
    """Boxes of about one size anywhere in the frame."""
    random = np.random.default_rng(seed)
    sides = np.array([width, height]) * 2 ** random.normal(0, 0.2, (count, 2))
    corner = random.uniform(0, np.maximum(128 - sides, 1))
    return np.concatenate([corner, corner + sides], axis=1)


def unmatched(boxes: np.ndarray, anchors: AnchorSettings) -> int:
    return int((best_anchor_iou(boxes, GRID, anchors) < POSITIVE_IOU).sum())


def suggest(boxes: np.ndarray, start: AnchorSettings = RELEASED) -> AnchorSettings:
    return suggest_anchors(boxes, np.full(len(boxes), 1 / len(boxes)), GRID, start)


@pytest.mark.parametrize(("width", "height"), [(60, 6), (12, 90), (12, 12), (120, 14)])
def test_odd_boxes_get_anchors_that_the_released_ones_lack(width, height):
    boxes = scattered(width, height)
    anchors = suggest(boxes)
    before, after = unmatched(boxes, RELEASED), unmatched(boxes, anchors)
    assert before > 20
    assert after < before / 2
    held_out = scattered(width, height, seed=1)
    assert unmatched(held_out, anchors) < unmatched(held_out, RELEASED)


def test_the_number_of_anchors_and_the_levels_stay():
    start = AnchorSettings(levels=(3, 4), scales=(1.0, 1.5), ratios=(0.5, 1.0, 2.0))
    anchors = suggest(scattered(60, 6), start)
    assert (anchors.levels, anchors.per_cell) == (start.levels, start.per_cell)
    # Read strictly, as a recipe's are.
    assert AnchorSettings(**anchors.model_dump()) == anchors


box = st.tuples(*[st.floats(0, 100, allow_subnormal=False)] * 2, *[st.floats(0.01, 120)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(deadline=None, max_examples=8)
@given(st.lists(box, min_size=1, max_size=6))
def test_no_boxes_are_left_worse_off_and_the_same_ones_get_the_same(rows):
    boxes = np.array(rows)
    anchors = suggest(boxes)
    assert unmatched(boxes, anchors) <= unmatched(boxes, RELEASED)
    assert AnchorSettings(**anchors.model_dump()) == anchors
    assert suggest(boxes) == anchors


def test_a_heavy_box_is_served_before_light_ones():
    thin, wide = scattered(10, 60, count=1), scattered(60, 10, count=3)
    boxes = np.concatenate([thin, wide])
    start = AnchorSettings(levels=(3,), scales=(1.0,), ratios=(1.0,))  # one shape: not both
    anchors = suggest_anchors(boxes, np.array([0.7, 0.1, 0.1, 0.1]), GRID, start)
    assert unmatched(thin, anchors) == 0
    anchors = suggest_anchors(boxes, np.array([0.1, 0.3, 0.3, 0.3]), GRID, start)
    assert unmatched(thin, anchors) == 1


def test_without_boxes_the_anchors_stay_as_they_are():
    assert suggest_anchors(np.zeros((0, 4)), np.zeros(0), GRID, RELEASED) == RELEASED
