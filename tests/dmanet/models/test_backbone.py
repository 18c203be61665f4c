"""The residual backbone's sizes."""

import pytest
import torch

from dmanet.models.backbone import Backbone


@pytest.mark.parametrize(("depth", "expansion"), [(18, 1), (34, 1), (50, 4), (101, 4), (152, 4)])
def test_channels_follow_the_blocks_expansion(depth, expansion):
    backbone = Backbone(depth, inputs=16, width=4).eval()
    assert backbone.channels == (8 * expansion, 16 * expansion, 16 * expansion)
    features = backbone(torch.zeros(1, 16, 64, 32))
    assert [tuple(x.shape[1:]) for x in features] == [
        (backbone.channels[0], 8, 4),
        (backbone.channels[1], 4, 2),
        (backbone.channels[2], 2, 1),
    ]


@pytest.mark.parametrize("depth", [18, 34])
def test_sizes_that_strides_do_not_divide_are_rounded_up(depth):
    features = Backbone(depth, inputs=2, width=4)(torch.zeros(1, 2, 90, 33))
    assert [tuple(x.shape[2:]) for x in features] == [(12, 5), (6, 3), (3, 2)]


@pytest.mark.parametrize(("depth", "convolutions"), [(18, 17), (34, 33), (50, 49), (101, 100)])
def test_depth_counts_the_convolutions_on_the_main_way(depth, convolutions):
    names = [name for name, part in Backbone(depth, 2, 4).named_modules() if "conv" in name]
    assert len(names) == convolutions
