"""Overlap, encoding, decoding and clipping of boxes."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.boxes import MAX_GROWTH, box_iou, clip_boxes, decode_boxes, encode_boxes

coordinate = st.floats(-50, 600, width=32)
side = st.floats(1, 300, width=32)
box = st.tuples(coordinate, coordinate, side, side).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
boxes = st.lists(box, min_size=1, max_size=6).map(lambda rows: torch.tensor(rows))


def test_golden_overlaps(golden):
    with np.load(golden / "focal_loss.npz") as arrays:
        height, width = arrays["image_hw"].tolist()
        rows = arrays["annotations"][0]
        truth = torch.from_numpy(rows[rows[:, 4] >= 0][:, :4])
        anchors = anchors_for((height, width), AnchorSettings())
        expected = torch.from_numpy(arrays["iou_sample0"])
    torch.testing.assert_close(box_iou(anchors[::7], truth), expected, atol=1e-6, rtol=1e-5)


def test_golden_decoding_and_clipping(golden):
    with np.load(golden / "detector.npz") as arrays:
        deltas, anchors, decoded, clipped = (
            torch.from_numpy(arrays[name])
            for name in ("regression", "anchors", "decoded", "clipped")
        )
    found = decode_boxes(deltas, anchors)
    torch.testing.assert_close(found, decoded, atol=1e-3, rtol=1e-5)
    # The release cuts each corner on one side only; where it leaves a corner outside, ours is on
    # the border.
    torch.testing.assert_close(
        clip_boxes(found, (512, 512)), clipped.clamp(0, 512), atol=1e-3, rtol=1e-5
    )


def test_delta_units_are_the_documented_ones():
    anchor = torch.tensor([[10.0, 20.0, 30.0, 60.0]])  # 20 wide, 40 high, centre (20, 40)
    truth = torch.tensor([[17.0, 42.0, 27.0, 62.0]])  # 10 wide, 20 high, centre (22, 52)
    expected = torch.tensor([[2 / 20 / 0.1, 12 / 40 / 0.1, -np.log(2) / 0.2, -np.log(2) / 0.2]])
    torch.testing.assert_close(encode_boxes(truth, anchor), expected.float())


def test_boxes_thinner_than_a_cell_are_encoded_as_one_cell():
    anchor = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    thin = encode_boxes(torch.tensor([[3.9, 2.0, 4.1, 6.0]]), anchor)
    one = encode_boxes(torch.tensor([[3.5, 2.0, 4.5, 6.0]]), anchor)
    torch.testing.assert_close(thin, one, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(boxes, st.data())
def test_decoding_inverts_encoding(truth, data):
    # Anchors of about the box's size, as matching guarantees; growth is clipped far beyond.
    factor = data.draw(st.floats(0.5, 2))
    size = (truth[:, 2:] - truth[:, :2]) * factor
    anchors = torch.cat([truth[:, :2] - 3, truth[:, :2] - 3 + size], dim=1)
    torch.testing.assert_close(
        decode_boxes(encode_boxes(truth, anchors), anchors), truth, atol=2e-2, rtol=1e-4
    )


@settings(deadline=None)
@given(boxes, boxes)
def test_overlap_agrees_with_scalar_arithmetic(first, second):
    found = box_iou(first, second)
    for i, a in enumerate(first.tolist()):
        for j, b in enumerate(second.tolist()):
            width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
            height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
            assert (
                abs(found[i, j].item() - width * height / (union - width * height)) < 1e-3
            )  # float32 corners


def test_overlap_of_empty_lists_and_empty_boxes():
    none, one = torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    assert box_iou(none, one).shape == (0, 1)
    assert box_iou(one, none).shape == (1, 0)
    assert box_iou(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0


def test_decoding_stays_finite_where_the_release_overflows():
    anchors = torch.tensor([[0.0, 0.0, 32.0, 32.0]])
    deltas = torch.tensor([[0.0, 0.0, 1e4, 1e4]])
    assert torch.isinf(torch.exp(deltas[0, 2] * 0.2))  # the release's factor
    found = decode_boxes(deltas, anchors)
    torch.testing.assert_close(found[0, 2] - found[0, 0], torch.tensor(32 * MAX_GROWTH))


def test_decoding_is_float32_for_half_precision_outputs():
    anchors = torch.tensor([[0.0, 0.0, 512.0, 512.0]])
    found = decode_boxes(torch.full((1, 4), 0.3, dtype=torch.bfloat16), anchors)
    assert found.dtype == torch.float32
    exact = decode_boxes(torch.full((1, 4), 0.3, dtype=torch.bfloat16).float(), anchors)
    torch.testing.assert_close(found, exact, rtol=0, atol=0)


def test_clipping_leaves_no_inverted_box():
    outside = torch.tensor([[600.0, 10.0, 700.0, 20.0], [-90.0, -80.0, -10.0, -5.0]])
    clipped = clip_boxes(outside, (256, 512))
    torch.testing.assert_close(
        clipped, torch.tensor([[512.0, 10.0, 512.0, 20.0], [0.0, 0.0, 0.0, 0.0]])
    )
    inside = torch.tensor([[-5.0, 100.0, 513.0, 300.0]])
    torch.testing.assert_close(
        clip_boxes(inside, (256, 512)), torch.tensor([[0.0, 100.0, 512.0, 256.0]])
    )
