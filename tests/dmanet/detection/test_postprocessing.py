"""From head outputs to detections: the reference arrays and what a batch must keep apart."""

import numpy as np
import pytest
import torch

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.nms import grouped_nms
from dmanet.detection.postprocessing import decode_detections, select_detections
from pipeline.errors import DataError

GRID = (512, 512)
ANCHORS = torch.tensor(
    [[10.0, 10, 50, 50], [12.0, 10, 52, 50], [200.0, 200, 260, 300], [-80.0, -80, -20, -20]]
)


@pytest.fixture(scope="module")
def reference(golden):
    with np.load(golden / "detector.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def outside_removed(rows):
    """The release keeps boxes wholly outside the frame, inverted; ours are dropped."""
    return rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]


def test_golden_detections_from_scores(reference):
    (found,) = select_detections(
        torch.from_numpy(reference["classification"]),
        torch.from_numpy(reference["regression"]),
        torch.from_numpy(reference["anchors"][0]),
        GRID,
        float(reference["conf_threshold"]),
        float(reference["iou_threshold"]),
    )
    expected = outside_removed(reference["detections"])
    np.testing.assert_array_equal(found.classes, expected[:, 5])
    np.testing.assert_array_equal(found.scores, expected[:, 4])
    np.testing.assert_allclose(found.boxes, expected[:, :4], atol=1e-3)


def test_golden_detections_from_logits(reference):
    """Logits recovered from float32 scores round them: compared as sets of near boxes, to 1e-4."""
    (found,) = decode_detections(
        torch.from_numpy(reference["classification"]).double().logit().float(),
        torch.from_numpy(reference["regression"]),
        torch.from_numpy(reference["anchors"][0]),
        GRID,
        float(reference["conf_threshold"]),
        float(reference["iou_threshold"]),
    )
    expected = outside_removed(reference["detections"])
    # A score within rounding of the threshold, or of a rival's, may fall to the other side.
    assert abs(len(found) - len(expected)) <= 3
    for class_index in np.unique(expected[:, 5]):
        theirs = expected[expected[:, 5] == class_index]
        rows = found.classes == class_index
        mine = np.column_stack([found.boxes[rows], found.scores[rows] * 512])
        theirs = np.column_stack([theirs[:, :4], theirs[:, 4] * 512])
        distance = np.abs(mine[:, None] - theirs[None]).max(axis=2).min(axis=1)
        assert np.count_nonzero(distance > 0.05) <= 3
        assert (np.diff(found.scores[rows]) <= 0).all()


def test_golden_empty_detections(reference):
    (found,) = select_detections(
        torch.zeros_like(torch.from_numpy(reference["classification"])),
        torch.from_numpy(reference["regression"]),
        torch.from_numpy(reference["anchors"][0]),
        GRID,
        float(reference["conf_threshold"]),
    )
    assert len(found) == len(reference["detections_empty"]) == 0
    assert found.boxes.shape == (0, 4)


def scores_of(*frames):
    """Score matrix [F, 4, 2] from {(anchor, class): score} for each frame."""
    scores = torch.zeros(len(frames), 4, 2)
    for f, entries in enumerate(frames):
        for (anchor, class_index), score in entries.items():
            scores[f, anchor, class_index] = score
    return scores


def test_frames_of_a_batch_do_not_suppress_each_other():
    """The release runs one NMS over the boxes of all images of a batch, and loses the second."""
    mixed = grouped_nms(ANCHORS[:2].numpy(), np.array([0.9, 0.8]), np.array([0, 0]), 0.5)
    assert mixed.tolist() == [0]

    scores = scores_of({(0, 0): 0.9}, {(1, 0): 0.8}, {})
    found = select_detections(scores, torch.zeros(3, 4, 4), ANCHORS, GRID, 0.1)
    assert [len(frame) for frame in found] == [1, 1, 0]
    np.testing.assert_allclose(found[1].boxes, ANCHORS[1:2].numpy(), atol=1e-5)


def test_classes_do_not_suppress_each_other_and_come_in_order():
    scores = scores_of({(0, 1): 0.9, (1, 0): 0.8, (1, 1): 0.7, (2, 1): 0.95})
    (found,) = select_detections(scores, torch.zeros(1, 4, 4), ANCHORS, GRID, 0.1)
    np.testing.assert_array_equal(found.classes, [0, 1, 1])
    np.testing.assert_allclose(found.scores, [0.8, 0.95, 0.9])


def test_limit_is_per_frame_and_class():
    scores = scores_of({(0, 0): 0.9, (2, 0): 0.8, (0, 1): 0.6}, {(2, 0): 0.3})
    found = select_detections(scores, torch.zeros(2, 4, 4), ANCHORS, GRID, 0.1, max_detections=1)
    np.testing.assert_allclose(found[0].scores, [0.9, 0.6])
    np.testing.assert_allclose(found[1].scores, [0.3])


def test_box_outside_the_frame_is_dropped():
    scores = scores_of({(3, 0): 0.9, (2, 0): 0.5})
    (found,) = select_detections(scores, torch.zeros(1, 4, 4), ANCHORS, GRID, 0.1)
    np.testing.assert_allclose(found.scores, [0.5])


def test_score_at_the_threshold_does_not_pass():
    scores = scores_of({(0, 0): 0.25, (2, 0): 0.2500001})
    (found,) = select_detections(scores, torch.zeros(1, 4, 4), ANCHORS, GRID, 0.25)
    assert len(found) == 1
    assert len(found.above(0.3)) == 0


@pytest.mark.parametrize("where", ["logits", "deltas"])
def test_outputs_that_are_not_numbers_are_refused(where):
    outputs = {"logits": torch.zeros(1, 4, 2), "deltas": torch.zeros(1, 4, 4)}
    outputs[where][0, 1, 1] = float("nan")
    with pytest.raises(DataError, match="not numbers"):
        decode_detections(**outputs, anchors=ANCHORS, grid_size=GRID, score_threshold=0.1)


def test_extreme_outputs_give_finite_boxes():
    logits = torch.full((1, 4, 2), 1e4)
    deltas = torch.full((1, 4, 4), 1e4)
    (found,) = decode_detections(logits, deltas, ANCHORS, GRID, 0.1)
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()


def test_an_untrained_network_at_a_low_threshold_is_bounded_by_the_limit():
    """Every anchor passes; without the limit this would be ten thousand survivors a class."""
    anchors = anchors_for((256, 256), AnchorSettings())
    logits = torch.randn(1, len(anchors), 7, generator=torch.Generator().manual_seed(0))
    (found,) = decode_detections(
        logits, torch.zeros(1, len(anchors), 4), anchors, (256, 256), 0.001, max_detections=100
    )
    np.testing.assert_array_equal(np.bincount(found.classes), [100] * 7)


def first_of_each_class(found, limit):
    rows = [np.flatnonzero(found.classes == c)[:limit] for c in np.unique(found.classes)]
    return np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)


@pytest.mark.parametrize("crowded", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_limited_detections_are_the_first_of_the_unlimited_ones(limit, crowded):
    """Also where the strongest candidates all suppress each other and weaker ones must fill up."""
    generator = torch.Generator().manual_seed(limit)
    anchors = anchors_for((128, 128), AnchorSettings())
    scores = torch.rand(2, len(anchors), 3, generator=generator)
    if crowded:
        scores[0, 3000:3300, 1] = 2 + torch.arange(300) / 300
    deltas = torch.randn(2, len(anchors), 4, generator=generator)
    if crowded:
        anchors = anchors.clone()
        anchors[3000:3300] = anchors[3000]
        deltas[0, 3000:3300] = 0
    every = select_detections(scores, deltas, anchors, (128, 128), 0.05)
    limited = select_detections(scores, deltas, anchors, (128, 128), 0.05, max_detections=limit)
    for all_of_it, part in zip(every, limited, strict=True):
        rows = first_of_each_class(all_of_it, limit)
        np.testing.assert_array_equal(part.boxes, all_of_it.boxes[rows])
        np.testing.assert_array_equal(part.scores, all_of_it.scores[rows])
        np.testing.assert_array_equal(part.classes, all_of_it.classes[rows])


@pytest.mark.parametrize("limit", [None, 3])
def test_no_frames(limit):
    none = torch.zeros(0, 4, 2), torch.zeros(0, 4, 4)
    assert select_detections(*none, ANCHORS, GRID, 0.1, max_detections=limit) == []
