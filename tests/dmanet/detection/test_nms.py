"""Greedy suppression against a plain list formulation."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.detection.nms import grouped_nms

# Few whole-number boxes and scores: ties, duplicates, empty boxes, overlaps of exactly one half.
rows = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, 12),
        st.integers(0, 8),
        st.integers(0, 8),
        st.integers(1, 6),
        st.integers(0, 2),
    ),
    max_size=30,
)


def as_arrays(rows):
    table = np.array(rows, np.float32).reshape(-1, 6)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    return boxes, table[:, 4] / 7, table[:, 5].astype(np.int64)


def suppress_by_lists(boxes, scores, groups, threshold, limit):
    """Take the best of what is left, strike out what it overlaps, repeat."""
    kept = []
    for group in sorted(set(groups.tolist())):
        left = sorted(np.flatnonzero(groups == group), key=lambda i: (-scores[i], i))
        survivors = []
        while left and (limit is None or len(survivors) < limit):
            best, *left = left
            survivors.append(best)
            left = [i for i in left if not overlap_exceeds(boxes[best], boxes[i], threshold)]
        kept += survivors
    return kept


def overlap_exceeds(a, b, threshold):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return union > 0 and width * height / union > threshold


@settings(deadline=None)
@given(rows, st.sampled_from([0.0, 0.25, 0.5, 0.75]), st.sampled_from([None, 1, 3]))
def test_survivors_agree_with_a_plain_list_formulation(rows, threshold, limit):
    boxes, scores, groups = as_arrays(rows)
    found = grouped_nms(boxes, scores, groups, threshold, limit)
    assert found.tolist() == suppress_by_lists(boxes, scores, groups, threshold, limit)


def test_overlap_of_exactly_the_threshold_survives():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 2]], np.float32)  # IoU 0.5
    scores = np.array([0.9, 0.8], np.float32)
    assert grouped_nms(boxes, scores, np.zeros(2, int), 0.5).tolist() == [0, 1]
    assert grouped_nms(boxes, scores, np.zeros(2, int), 0.4999).tolist() == [0]


def test_equal_scores_go_by_index():
    boxes = np.array([[0, 0, 4, 4]] * 3, np.float32)
    assert grouped_nms(boxes, np.full(3, 0.5, np.float32), np.zeros(3, int), 0.5).tolist() == [0]


def test_no_boxes():
    none = grouped_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), 0.5)
    assert none.shape == (0,)
    assert none.dtype == np.int64
