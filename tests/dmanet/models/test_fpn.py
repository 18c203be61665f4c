"""The feature pyramid and the temporal branch."""

import numpy as np
import pytest
import torch
from torch import nn

from dmanet.models.fpn import FeaturePyramid, TemporalBranch

LEVELS = [(3, 4, 5), (3, 4, 5, 6), (3, 4, 5, 6, 7)]


def golden_state(file, kind):
    ours = {"P6": "p6", "P7_2": "p7"}
    ours |= {f"P{i + 3}_1": f"lateral.{i}" for i in range(3)}
    ours |= {f"P{i + 3}_2": f"smooth.{i}" for i in range(3)}
    parts = [name.split("/") for name in file.files if name.startswith(f"{kind}/")]
    return {
        ".".join([ours[name.rsplit(".", 1)[0]], name.rsplit(".", 1)[1]]): torch.from_numpy(
            file[f"{kind}/{name}"]
        )
        for _, name in parts
    }


def test_golden_pyramid_and_gradients(golden, close):
    # Tolerances: outputs 1e-5, gradients 1e-4 of the largest magnitude.
    file = np.load(golden / "fpn.npz")
    features = [torch.from_numpy(file[f"C{i}"]).requires_grad_() for i in (3, 4, 5)]
    pyramid = FeaturePyramid([x.shape[1] for x in features], file["P3"].shape[1], (3, 4, 5, 6, 7))
    pyramid.load_state_dict(golden_state(file, "sd"))
    outputs = pyramid(features)
    for level, out in enumerate(outputs, start=3):
        close(out, file[f"P{level}"], 1e-5)
    sum(
        (out * torch.from_numpy(file[f"G{i}"])).sum() for i, out in enumerate(outputs, 3)
    ).backward()
    for i, feature in enumerate(features, start=3):
        close(feature.grad, file[f"grad_C{i}"], 1e-4)
    for name, gradient in golden_state(file, "grad").items():
        close(pyramid.get_parameter(name).grad, gradient, 1e-4)


def features_of(height, width, channels=(6, 12, 12), batch=2):
    return [
        torch.randn(batch, c, -(-height // s), -(-width // s))
        for c, s in zip(channels, (8, 16, 32), strict=True)
    ]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("size", [(64, 96), (90, 33)])
def test_one_pass_over_two_paths_is_the_sum_of_their_pyramids(levels, size):
    pyramid = FeaturePyramid((6, 12, 12), 8, levels)
    short, long = features_of(*size), features_of(*size)
    both = pyramid(short, long)
    apart = [a + b for a, b in zip(pyramid(short), pyramid(long), strict=True)]
    assert len(both) == len(levels)
    for one, two in zip(both, apart, strict=True):
        torch.testing.assert_close(one, two, atol=2e-5, rtol=0)


def test_twice_a_coarser_level_does_not_fit_an_odd_one():
    # 720 cells are 45 rows at stride 16 and 23 at stride 32: the release, which doubles, fails.
    _, fine, coarse = features_of(720, 1280)
    with pytest.raises(RuntimeError, match="must match the size"):
        fine + nn.functional.interpolate(coarse, scale_factor=2)
    pyramid = FeaturePyramid((6, 12, 12), 8, (3, 4, 5))
    assert [tuple(x.shape[2:]) for x in pyramid(features_of(720, 1280))] == [
        (90, 160), (45, 80), (23, 40),
    ]  # fmt: skip


@pytest.mark.parametrize("levels", LEVELS)
def test_both_pyramids_have_every_level_asked_for_at_sizes_rounded_up(levels):
    features = features_of(90, 33)
    expected = [(2, 8, -(-90 // 2**level), -(-33 // 2**level)) for level in levels]
    for pyramid in (FeaturePyramid, TemporalBranch):
        module = pyramid((6, 12, 12), 8, levels)
        assert [tuple(x.shape) for x in module(features)] == expected


def test_temporal_branch_convolves_only_where_channels_differ():
    branch = TemporalBranch((6, 8, 8), 8, (3, 4, 5))
    assert [type(conv) for conv in branch.convs] == [nn.Conv2d, nn.Identity, nn.Identity]
    hidden = features_of(64, 64, (6, 8, 8))
    out = branch(hidden)[1]
    mean = hidden[1].mean(dim=(0, 2, 3), keepdim=True)
    variance = hidden[1].var(dim=(0, 2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(out, (hidden[1] - mean) / (variance + 1e-5).sqrt())


def test_a_coarsest_level_of_one_cell_and_one_frame_trains():
    branch = TemporalBranch((6, 8, 8), 8, (3, 4, 5, 6, 7)).train()
    outputs = branch(features_of(64, 64, (6, 8, 8), batch=1))
    assert outputs[-1].shape == (1, 8, 1, 1)
    assert outputs[-1].isfinite().all()
