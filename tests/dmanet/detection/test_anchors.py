"""Anchor grids against the reference arrays and a plain enumeration."""

import numpy as np
import torch

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from pipeline.anchors.shapes import anchor_shapes

ATOL = 1e-3  # grid units: the reference asks for no more


def test_golden_anchors_of_every_size(golden):
    with np.load(golden / "anchors.npz") as arrays:
        sizes = sorted({name.split("/")[0] for name in arrays.files})
        assert sizes
        for size in sizes:
            height, width = (int(side) for side in size.split("x"))
            anchors = anchors_for((height, width), AnchorSettings()).numpy()
            assert (1, *anchors.shape) == tuple(arrays[f"{size}/shape"])
            for name, part in (
                ("first20", anchors[:20]),
                ("last20", anchors[-20:]),
                ("every997", anchors[::997]),
            ):
                np.testing.assert_allclose(part, arrays[f"{size}/{name}"], atol=ATOL, err_msg=size)
            wide = anchors.astype(np.float64)
            np.testing.assert_allclose(wide.sum(0), arrays[f"{size}/sum"], rtol=1e-6)
            np.testing.assert_allclose(np.abs(wide).sum(0), arrays[f"{size}/abssum"], rtol=1e-6)


def test_first_anchor_of_the_release():
    first = anchors_for((512, 512), AnchorSettings())[0]
    torch.testing.assert_close(
        first, torch.tensor([-23.7128, -5.2376, 31.7128, 13.2376]), atol=1e-4, rtol=0
    )


def test_order_is_level_row_column_ratio_scale():
    settings = AnchorSettings(levels=(3, 5), base_scale=2.0, scales=(1.0, 1.5), ratios=(0.5, 2.0))
    expected = []
    for stride, rows, columns in ((8, 5, 8), (32, 2, 2)):  # of 40 x 60 cells, rounded up
        for row in range(rows):
            for column in range(columns):
                for ratio in (0.5, 2.0):
                    for scale in (1.0, 1.5):
                        area = (2 * stride * scale) ** 2
                        width = (area / ratio) ** 0.5
                        height = width * ratio
                        x, y = (column + 0.5) * stride, (row + 0.5) * stride
                        expected.append(
                            (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
                        )
    torch.testing.assert_close(anchors_for((40, 60), settings), torch.tensor(expected))


def test_shapes_keep_area_and_ratio():
    settings = AnchorSettings()
    width, height = anchor_shapes(settings, level=4).reshape(5, 3, 2).transpose(2, 0, 1)
    np.testing.assert_allclose(height / width, np.repeat([settings.ratios], 3, axis=0).T)
    np.testing.assert_allclose(
        np.sqrt(width * height), np.repeat([[64 * s for s in settings.scales]], 5, axis=0)
    )


def test_anchors_born_in_inference_mode_serve_a_training_step():
    settings = AnchorSettings(base_scale=3.25)  # not asked for by another test: not cached yet
    with torch.inference_mode():
        anchors_for((64, 64), settings)
    deltas = torch.zeros(len(anchors_for((64, 64), settings)), 4, requires_grad=True)
    (deltas * anchors_for((64, 64), settings)).sum().backward()
    torch.testing.assert_close(deltas.grad, anchors_for((64, 64), settings))
