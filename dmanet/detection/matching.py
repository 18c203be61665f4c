"""Which anchor is trained towards which box."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dmanet.detection.boxes import box_iou

BACKGROUND = -1
IGNORED = -2


def match_anchors(
    anchors: Tensor,
    boxes: Tensor,
    frame: Tensor,
    frames: int,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    match_low_quality: bool = False,
) -> Tensor:
    """Match each anchor in each of F frames with at most one box of the frame.

    With ``match_low_quality`` the anchors that overlap a box more than all other anchors do are
    positive too, however small that overlap is, so a thin box that no anchor covers is still
    trained; each such anchor keeps the box that it overlaps most. The release does not do this and
    trains such boxes as background.

    All frames go together, a box of each at a time: that many overlaps are formed and no more
    (those of all boxes with all anchors would be gigabytes), and the host waits for the device once.

    Args:
        anchors: ``[A, 4]`` float32, x1, y1, x2, y2 in grid units.
        boxes: ``[N, 4]`` float32, those of all frames, in any order.
        frame: int64 ``[N]``, whose each box is.
        frames: F.
        positive_iou: least overlap of a positive anchor.
        negative_iou: anchors that overlap less are background.
        match_low_quality: whether each box also takes the anchors that overlap it most.

    Returns:
        int64 ``[F, A]``: the index of the box that the anchor overlaps most where that overlap is at
        least ``positive_iou`` (the first such box in a tie), ``BACKGROUND`` where it is below
        ``negative_iou``, ``IGNORED`` in between.
    """
    order, rounds = _rounds(frame, frames)
    sides = [boxes[rows] for rows in rounds]  # [f, 4] each
    # Temporaries that fit a core's cache; on a GPU few and large ones.
    pairs = 2**18 if anchors.device.type == "cpu" else 2**24
    tiles = anchors.split(max(1, pairs // max(1, frames)))
    largest: list[Tensor | None] = [None] * len(rounds)
    if match_low_quality:
        largest = [_largest_overlap(some, tiles) for some in sides]
    match = []
    for tile in tiles:
        best_iou = tile.new_zeros((frames, len(tile)))
        best_box = torch.zeros_like(best_iou, dtype=torch.int64)
        forced = torch.zeros_like(best_iou, dtype=torch.bool)
        for rows, some, most in zip(rounds, sides, largest, strict=True):
            overlap = box_iou(some, tile)  # [f, a]
            iou, box = best_iou[: len(rows)], best_box[: len(rows)]  # written in place
            if most is not None:
                forced[: len(rows)] |= overlap == most
            box.copy_(torch.where(overlap > iou, rows[:, None], box))
            torch.maximum(iou, overlap, out=iou)
        rest = torch.where(best_iou < negative_iou, BACKGROUND, IGNORED)
        match.append(torch.where((best_iou >= positive_iou) | forced, best_box, rest))
    return torch.cat(match, dim=1)[order]


def _rounds(frame: Tensor, frames: int) -> tuple[Tensor, list[Tensor]]:
    """The rows of the first boxes of all frames that have one, of the second boxes, and so on.

    Frames come from the one with most boxes to the one with fewest, so those of a round are the
    first of the round before. Also the place of each frame in that order ``[F]``.
    """
    every = torch.arange(frames, device=frame.device)
    counts = (frame == every[:, None]).sum(dim=1)  # [F]
    first = counts.cumsum(0) - counts
    rows = torch.argsort(frame, stable=True)  # [N], by frame
    fullest = torch.argsort(counts, descending=True, stable=True)
    sizes = counts[fullest].tolist()
    with_more = [sum(size > k for size in sizes) for k in range(max(sizes, default=0))]
    begins = first[fullest]
    return torch.argsort(fullest), [rows[begins[:f] + k] for k, f in enumerate(with_more)]


def _largest_overlap(boxes: Tensor, tiles: Sequence[Tensor]) -> Tensor:
    """Largest overlap of each box with any anchor ``[f, 1]``; 2, which none reaches, without any."""
    largest = torch.stack([box_iou(boxes, tile).amax(dim=1) for tile in tiles]).amax(dim=0)
    return torch.where(largest > 0, largest, 2.0)[:, None]
