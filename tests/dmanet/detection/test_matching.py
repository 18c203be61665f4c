"""Anchor matching against a plain search, and how well the released anchors fit boxes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.boxes import box_iou
from dmanet.detection.matching import (
    BACKGROUND,
    IGNORED,
    match_anchors,
)
from pipeline.anchors.fit import best_anchor_iou, unmatched_share
from tests.dmanet.matching_by_frame import match_one_frame

# Whole-cell boxes, so that ties and overlaps of exactly 0.5 occur.
box = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
box_lists = st.lists(box, max_size=8).map(
    lambda rows: torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
)


def match_by_search(anchors, boxes, low_quality):
    """One anchor and one box at a time."""
    overlap = box_iou(anchors, boxes).tolist()
    best_of_box = [max(row[n] for row in overlap) for n in range(len(boxes))]
    match = []
    for row in overlap:
        best = max(range(len(row)), key=lambda n: row[n], default=None)
        iou = 0.0 if best is None else row[best]
        forced = low_quality and any(row[n] == best_of_box[n] > 0 for n in range(len(row)))
        if iou >= 0.5 or forced:
            match.append(best)
        else:
            match.append(BACKGROUND if iou < torch.tensor(0.4) else IGNORED)
    return match


def match_alone(anchors, boxes, **rules):
    """All boxes in one frame: int64 ``[A]``."""
    return match_anchors(anchors, boxes, torch.zeros(len(boxes), dtype=torch.int64), 1, **rules)[0]


@settings(deadline=None)
@given(box_lists.filter(len), box_lists, st.booleans())
def test_match_agrees_with_a_plain_search(anchors, boxes, low_quality):
    expected = match_by_search(anchors, boxes, low_quality)
    assert match_alone(anchors, boxes, match_low_quality=low_quality).tolist() == expected
    assert match_one_frame(anchors, boxes, match_low_quality=low_quality).tolist() == expected


def assert_frames_match_as_each_alone(anchors, boxes, frame, frames, low_quality):
    found = match_anchors(anchors, boxes, frame, frames, match_low_quality=low_quality)
    assert found.shape == (frames, len(anchors))
    for f in range(frames):
        rows = (frame == f).nonzero()[:, 0]
        local = match_one_frame(anchors, boxes[rows], match_low_quality=low_quality)
        expected = local.clone()
        expected[local >= 0] = rows[local[local >= 0]]  # rows of all boxes, not of the frame's
        assert torch.equal(found[f], expected)


@settings(deadline=None)
@given(st.data(), box_lists.filter(len), box_lists, st.integers(1, 4), st.booleans())
def test_frames_together_match_as_each_alone(data, anchors, boxes, frames, low_quality):
    """Boxes in any order of frames, ties, frames without boxes."""
    owners = st.lists(st.integers(0, frames - 1), min_size=len(boxes), max_size=len(boxes))
    frame = torch.tensor(data.draw(owners), dtype=torch.int64)
    assert_frames_match_as_each_alone(anchors, boxes, frame, frames, low_quality)


@pytest.mark.parametrize("low_quality", [False, True])
def test_more_pairs_than_are_worked_on_at_once_match_as_each_frame_alone(low_quality):
    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(150, 2, generator=generator) * 400
    boxes = torch.cat([corner, corner + 2 + torch.rand(150, 2, generator=generator) * 90], dim=1)
    frame = torch.randint(0, 5, (150,), generator=generator) * 2  # odd frames have none
    anchors = anchors_for((512, 512), AnchorSettings())
    assert len(anchors) * 10 > 2**19
    assert_frames_match_as_each_alone(anchors, boxes, frame, 10, low_quality)


def test_match_without_boxes_is_all_background():
    anchors = anchors_for((64, 64), AnchorSettings())
    none = torch.zeros(0, dtype=torch.int64)
    for low_quality in (False, True):
        match = match_anchors(anchors, torch.zeros(0, 4), none, 3, match_low_quality=low_quality)
        assert match.shape == (3, len(anchors))
        assert match.unique().tolist() == [BACKGROUND]


def test_thin_box_is_background_in_the_release_and_trained_with_low_quality_matches():
    anchors = anchors_for((512, 512), AnchorSettings())
    thin = torch.tensor([[200.0, 200.0, 208.0, 240.5]])  # a 20 x 57 px pedestrian, squashed
    assert (match_alone(anchors, thin) < 0).all()
    matched = match_alone(anchors, thin, match_low_quality=True) >= 0
    overlap = box_iou(thin, anchors)[0]
    assert matched.any()
    assert (overlap[matched] == overlap.max()).all()


def test_box_that_touches_no_anchor_forces_no_match():
    anchors = torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 16.0, 8.0]])
    far = torch.tensor([[100.0, 100.0, 110.0, 110.0]])
    assert (match_alone(anchors, far, match_low_quality=True) == BACKGROUND).all()


def squashed(width, height, count=2000):
    """Boxes of one sensor-pixel size anywhere in the 1280 x 720 frame, on the 512 x 512 grid."""
    random = np.random.default_rng(7)
    x = random.uniform(0, 1280 - width, count)
    y = random.uniform(0, 720 - height, count)
    corners = np.stack([x, y, x + width, y + height], axis=1)
    return corners * np.array([512 / 1280, 512 / 720] * 2)


@pytest.mark.parametrize(
    ("width", "height", "mean_iou", "matched"),
    [(20, 57, 0.32, 0.0), (45, 45, 0.55, 0.96), (30, 80, 0.61, 1.0), (60, 60, 0.77, 1.0)],
)
def test_released_anchors_fit_as_measured(width, height, mean_iou, matched):
    boxes = squashed(width, height)
    rows = unmatched_share(boxes, np.full(len(boxes), 3), (512, 512), AnchorSettings())
    assert {row.class_index for row in rows} == {3}
    assert sum(row.boxes for row in rows) == len(boxes)
    mean = np.average([row.mean_best_iou for row in rows], weights=[row.boxes for row in rows])
    share = sum(row.unmatched for row in rows) / len(boxes)
    assert mean == pytest.approx(mean_iou, abs=0.01)
    assert 1 - share == pytest.approx(matched, abs=0.02)


@settings(deadline=None)
@given(
    box_lists,
    st.sampled_from([(64, 96), (100, 36)]),
    st.sampled_from([AnchorSettings(), AnchorSettings(levels=(3, 4), base_scale=1.5)]),
)
def test_nearest_anchors_suffice_for_the_best_overlap(boxes, grid_size, settings):
    every = box_iou(boxes, anchors_for(grid_size, settings)).amax(dim=1)
    found = best_anchor_iou(boxes.numpy(), grid_size, settings)
    np.testing.assert_allclose(found, every.numpy(), atol=1e-5)


def test_unmatched_share_counts_what_matching_leaves_out():
    random = np.random.default_rng(0)
    corner = random.uniform(0, 400, (60, 2))
    boxes = np.concatenate([corner, corner + random.uniform(4, 110, (60, 2))], axis=1)
    classes = random.integers(0, 3, 60)
    anchors = anchors_for((512, 512), AnchorSettings())
    size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    rows = unmatched_share(boxes, classes, (512, 512), AnchorSettings(), size_edges=(0, 40, 999))
    assert len(rows) == 6
    for row in rows:
        own = (classes == row.class_index) & (size >= row.size[0]) & (size < row.size[1])
        unmatched = sum(
            bool((match_alone(anchors, torch.tensor(box)[None].float()) < 0).all())
            for box in boxes[own]
        )
        assert (row.boxes, row.unmatched) == (own.sum(), unmatched)
        assert row.unmatched_share == unmatched / own.sum()


def test_unmatched_share_of_no_boxes_has_no_rows():
    none = np.zeros((0, 4))
    assert unmatched_share(none, np.zeros(0, int), (512, 512), AnchorSettings()) == []
