"""Overlaps without torch, against torch's and pycocotools' own."""

import subprocess
import sys

import numpy as np
import torch
from pycocotools import mask

from dmanet.detection.boxes import box_iou
from dmanet.evaluation.overlaps import corner_overlaps, side_overlaps

RNG = np.random.default_rng(3)


def test_corner_overlaps_are_those_of_the_network_to_the_bit():
    first, second = (RNG.uniform(-20, 90, (300, 2, 2)).astype(np.float32) for _ in range(2))
    first, second = (
        np.concatenate([b.min(axis=1), b.max(axis=1)], axis=1) for b in (first, second)
    )
    first[:20, 2:] = first[:20, :2]  # empty
    second[:10] = first[:10]
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    assert (expected > 0.5).any()
    np.testing.assert_array_equal(corner_overlaps(first[:, None], second[None]), expected)


def test_side_overlaps_are_those_of_pycocotools_to_the_bit():
    first, second = (np.round(RNG.uniform(1, 60, (300, 4)), 1) for _ in range(2))
    second[:30] = first[:30]
    expected = mask._mask.iou(first, second, [0] * 300)
    assert (expected > 0.5).any()
    np.testing.assert_array_equal(side_overlaps(first[:, None], second[None]), expected)


def test_the_protocols_need_no_torch():
    code = (
        "import sys; import dmanet.evaluation.coco, dmanet.evaluation.release; "
        "import dmanet.evaluation.prophesee; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
