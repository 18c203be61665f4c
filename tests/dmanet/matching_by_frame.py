"""Matching one frame with all its boxes at once: the oracle of the matching of many frames."""

import torch

from dmanet.detection.boxes import box_iou
from dmanet.detection.matching import BACKGROUND, IGNORED


def match_one_frame(anchors, boxes, positive_iou=0.5, negative_iou=0.4, match_low_quality=False):
    """``anchors`` [A, 4] and ``boxes`` [N, 4] to the row of the box each anchor is trained towards.

    The overlaps of every anchor with every box, as a matrix.
    """
    if not len(boxes):
        return torch.full((len(anchors),), BACKGROUND)
    overlap = box_iou(boxes, anchors)  # [N, A]
    iou = overlap.amax(dim=0)
    first = (overlap == iou).int().argmax(dim=0)
    match = torch.where(iou < negative_iou, BACKGROUND, IGNORED)
    positive = iou >= positive_iou
    if match_low_quality:
        largest = overlap.amax(dim=1, keepdim=True)
        positive |= ((overlap == largest) & (largest > 0)).any(dim=0)
    return torch.where(positive, first, match)
