"""Boxes as tensors: overlap, and the code that turns a box into deltas of an anchor and back.

A box is ``x1, y1, x2, y2`` in grid units (cells of the network's frame), float32; its width is
``x2 - x1``.
"""

import math

import torch
from torch import Tensor

# Standard deviations the release divides the four deltas by: of the shift, and of the growth.
SHIFT_SCALE, GROWTH_SCALE = 0.1, 0.2
# A decoded box is at most this many times as wide or high as its anchor. No target reaches it (an
# anchor matches only boxes of about its own size), and exp() stays far from its overflow.
MAX_GROWTH = 64.0
MIN_SIDE = 1.0  # the release encodes thinner boxes as one cell wide


def box_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every pair: ``[N, 4]``, ``[M, 4]`` → ``[N, M]``.

    Pairs whose union is empty get 0.
    """
    left, top, right, bottom = second.t().contiguous()  # [M] each: read N times, so side by side
    width = torch.minimum(first[:, None, 2], right) - torch.maximum(first[:, None, 0], left)
    height = torch.minimum(first[:, None, 3], bottom) - torch.maximum(first[:, None, 1], top)
    intersection = width.clamp_(min=0).mul_(height.clamp_(min=0))  # [N, M]
    area_first = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])  # [N]
    area_second = (right - left) * (bottom - top)  # [M]
    union = (area_first[:, None] + area_second).sub_(intersection).clamp_(min=1e-8)
    return intersection.div_(union)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Regression targets of boxes ``[N, 4]`` seen from their anchors ``[N, 4]`` → ``[N, 4]``.

    ``(dx / wa, dy / ha, log(w / wa), log(h / ha)) / (0.1, 0.1, 0.2, 0.2)``, centre to centre; width
    and height of the box are taken as at least one cell.
    """
    anchor_size = anchors[:, 2:] - anchors[:, :2]  # [N, 2]
    size = boxes[:, 2:] - boxes[:, :2]
    shift = (boxes[:, :2] + 0.5 * size) - (anchors[:, :2] + 0.5 * anchor_size)
    growth = torch.log(size.clamp(min=MIN_SIDE) / anchor_size)
    return torch.cat([shift / anchor_size / SHIFT_SCALE, growth / GROWTH_SCALE], dim=1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """The inverse of :func:`encode_boxes`: deltas ``[..., 4]`` and anchors ``[..., 4]`` → boxes.

    Always float32, whatever the network computed in. The growth is clipped before ``exp``: the
    release's decoding overflows to infinity.
    """
    deltas = deltas.float()
    shift, growth = deltas[..., :2] * SHIFT_SCALE, deltas[..., 2:] * GROWTH_SCALE
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    centre = anchors[..., :2] + 0.5 * anchor_size + shift * anchor_size
    half = 0.5 * anchor_size * growth.clamp(max=math.log(MAX_GROWTH)).exp()
    return torch.cat([centre - half, centre + half], dim=-1)


def clip_boxes(boxes: Tensor, grid_size: tuple[int, int]) -> Tensor:
    """Boxes ``[..., 4]`` cut to the frame, height and width in cells, on all four sides.

    A box outside the frame becomes an empty one on its border (the release cuts each corner on one
    side only and leaves such boxes with ``x2 < x1``).
    """
    height, width = grid_size
    limit = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limit)
