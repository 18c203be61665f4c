"""Pillar features, the shared net and the scatter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.models.canvas import scatter_to_canvas
from dmanet.models.pillar_net import PillarNet, Pillars, used_slots
from dmanet.settings import ModelSettings

SMALL = ModelSettings(grid_size=(32, 40))


def none_like(pillars):
    return Pillars(pillars.points[:0], pillars.num_points[:0], pillars.coords[:0])


def golden_net(file, group):
    """The reference net, its pillars, and the running statistics it was evaluated with."""
    prefix = f"{group}/sd/pfn_layers.0."
    state = {
        name.removeprefix(prefix).replace("conv1", "point_conv").replace("conv3", "slot_conv"): (
            torch.from_numpy(np.array(file[name]))
        )
        for name in file.files
        if name.startswith(prefix) and "linear" not in name
    }
    points = torch.from_numpy(file[f"{group}/voxels"])
    coords = torch.from_numpy(file[f"{group}/coors"]).long()
    pillars = Pillars(
        points,
        torch.from_numpy(file[f"{group}/num_points"]).long(),
        torch.nn.functional.pad(coords, (1, 0)),
    )
    net = PillarNet(len(state["norm.weight"]), points.shape[1])
    net.load_state_dict(state)
    if np.array_equal(file[f"{group}/train_running_var"], state["norm.running_var"]):
        # The file's buffers are those AFTER the training call. Those before it follow from the
        # update rule: after = (1 - m) * before + m * batch.
        for buffer in (net.norm.running_mean, net.norm.running_var):
            buffer.zero_()
        net.train()(pillars, none_like(pillars))
        for name in ("running_mean", "running_var"):
            share_of_batch = getattr(net.norm, name)
            before = (state[f"norm.{name}"] - share_of_batch) / (1 - net.norm.momentum)
            getattr(net.norm, name).copy_(before)
    return net, pillars


@pytest.mark.parametrize("group", ["released", "multi"])
def test_golden_features_and_canvas_in_evaluation_mode(golden, group, close):
    # Tolerance 1e-5 of the largest magnitude.
    file = np.load(golden / "pillar_net.npz")
    net, pillars = golden_net(file, group)
    features, _ = net.eval()(pillars, none_like(pillars))
    close(features.T, file[f"{group}/eval_features"][0, :, :, 0], 1e-5)
    canvas = scatter_to_canvas([features], [pillars.coords], 1, (512, 512))
    close(canvas[0, :, :64, :64], file[f"{group}/eval_canvas_crop_0_64"], 1e-5)
    # The sum of thousands of values of both signs: 1e-5 of their magnitudes.
    off = canvas.double().sum() - float(file[f"{group}/eval_canvas_sum"])
    assert off.abs() <= 1e-5 * canvas.abs().double().sum()
    assert (canvas != 0).any(dim=1).sum() == file[f"{group}/eval_canvas_nonzero_cells"]


@pytest.mark.parametrize("group", ["released", "multi"])
def test_golden_features_statistics_and_gradients_in_training_mode(golden, group, close):
    # Tolerance 1e-5 of the largest magnitude, gradients 1e-4. (The point convolution's bias stands
    # before a batch normalisation: its true gradient is 0, and what is found is rounding of the
    # gradients of the weights, whose magnitude it is compared at.)
    file = np.load(golden / "pillar_net.npz")
    net, pillars = golden_net(file, group)
    features, _ = net.train()(pillars, none_like(pillars))
    close(features.T, file[f"{group}/train_features"][0, :, :, 0], 1e-5)
    close(net.norm.running_mean, file[f"{group}/train_running_mean"], 1e-5)
    close(net.norm.running_var, file[f"{group}/train_running_var"], 1e-5)
    (features.T * torch.from_numpy(file[f"{group}/G"][0, :, :, 0])).sum().backward()
    for name, parameter in net.named_parameters():
        if name == "point_conv.bias":
            assert parameter.grad.abs().max() <= 1e-4 * net.point_conv.weight.grad.abs().max()
            continue
        released = name.replace("point_conv", "conv1").replace("slot_conv", "conv3")
        close(parameter.grad, file[f"{group}/grad/pfn_layers.0.{released}"], 1e-4)


def slot_inputs(*polarities):
    """Inputs of every slot, used or not, ``[6, max_points, P]``: the release's padded array."""
    pillars = [torch.cat(parts) for parts in zip(*map(fields, polarities), strict=True)]
    points, num_points = pillars[0].permute(2, 1, 0), pillars[1]
    relative = points - points.sum(dim=1, keepdim=True) / num_points
    slot = torch.arange(points.shape[1])[:, None]
    return torch.cat([points, relative]) * (slot < num_points)


def fields(pillars):
    return pillars.points, pillars.num_points, pillars.coords


def features_slot_by_slot(net, positive, negative):
    """The net as published, with its modules: every slot, [1, channel, pillar, slot]."""
    hidden = net.norm(net.point_conv(slot_inputs(positive, negative).permute(0, 2, 1)[None]))
    return net.slot_conv(hidden.relu()[..., : net.slots_read])[0, :, :, 0].T


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("max_points", [1, 2, 5, 7])
@pytest.mark.parametrize("counts", [([40, 3], [0, 25]), ([1], [0])])
def test_features_gradients_and_statistics_are_those_of_every_slot(
    random_pillars, close, training, max_points, counts
):
    small = SMALL.model_copy(update={"max_points": max_points})
    positive, negative = (random_pillars(n, small, seed) for seed, n in enumerate(counts))
    nets = [PillarNet(8, max_points).train(training) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    found = torch.cat(nets[0](positive, negative))
    expected = features_slot_by_slot(nets[1], positive, negative)
    close(found, expected.detach(), 1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(5))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for (name, one), two in zip(nets[0].named_parameters(), nets[1].parameters(), strict=True):
        if name == "point_conv.bias" and training and len(expected) * max_points > 1:
            # Normalised away: its true gradient is 0, and that of every slot is rounding.
            assert one.grad.abs().max() <= 1e-4 * nets[1].point_conv.weight.grad.abs().max() + 1e-6
        else:
            close(one.grad, two.grad, 1e-4)
    for one, two in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(one, two)


def test_used_slots_are_the_point_and_its_distance_from_the_mean_of_used_slots():
    points = torch.zeros(2, 5, 3)
    points[0, 0] = torch.tensor([3.0, 2.0, 4.0])
    points[1, :2] = torch.tensor([[10.0, 4.0, 1.0], [11.0, 6.0, 3.0]])
    used = used_slots(points, torch.tensor([1, 2]))
    assert used.pillar.tolist() == [0, 1, 1]
    assert used.counts == (2, 1, 0, 0, 0)
    assert used.features.tolist() == [
        [3.0, 2.0, 4.0, 0.0, 0.0, 0.0],
        [10.0, 4.0, 1.0, -0.5, -1.0, -1.0],
        [11.0, 6.0, 3.0, 0.5, 1.0, 1.0],
    ]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=2), st.integers(1, 3), st.integers(0, 2**20)
)
def test_scatter_keeps_the_last_pillar_of_a_cell_like_a_plain_loop(counts, frames, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([frames, 4, 3, 5])  # few cells, so that many pillars share one
    coords = [(torch.rand(n, 4, generator=generator) * sizes).long() for n in counts]
    features = [torch.randn(n, 2, generator=generator, requires_grad=True) for n in counts]
    canvas = scatter_to_canvas(features, coords, frames, (3, 5))
    weights = torch.randn(canvas.shape, generator=generator)
    (canvas * weights).sum().backward()
    expected = torch.zeros(frames, 2 * len(counts), 3, 5)
    for polarity, (own, rows) in enumerate(zip(features, coords, strict=True)):
        channels = slice(2 * polarity, 2 * polarity + 2)
        gradient, keeper = torch.zeros_like(own), {}
        for row, (frame, _, y, x) in enumerate(rows.tolist()):
            expected[frame, channels, y, x] = own[row].detach()
            keeper[frame, y, x] = row
        for (frame, y, x), row in keeper.items():  # only the kept pillars learn
            gradient[row] = weights[frame, channels, y, x]
        assert torch.equal(own.grad, gradient)
    assert torch.equal(canvas, expected)


def test_both_polarities_go_through_one_net(random_pillars):
    first, second = random_pillars([50], SMALL, 1), random_pillars([30], SMALL, 2)
    net = PillarNet(8, 5).eval()
    a, b = net(first, second)
    c, d = net(second, first)
    torch.testing.assert_close((a, b), (d, c))


@pytest.mark.parametrize("batch_norm", ["batch", "sample"])
@pytest.mark.parametrize("counts", [(0, 0), (0, 7), (7, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("max_points", [1, 5])
def test_few_or_no_pillars_give_finite_features_gradients_and_statistics(
    random_pillars, batch_norm, counts, training, max_points
):
    small = SMALL.model_copy(update={"max_points": max_points})
    net = PillarNet(8, max_points, batch_norm).train(training)
    features = torch.cat(net(*(random_pillars([n], small, i) for i, n in enumerate(counts))))
    assert features.shape == (sum(counts), 8)
    features.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    assert features.isfinite().all()
    assert net.norm.running_mean.isfinite().all()
    assert net.norm.running_var.isfinite().all()


@pytest.mark.parametrize("training", [True, False])
def test_a_polarity_without_pillars_crashes_the_release_and_not_ours(random_pillars, training):
    # The release takes each window and polarity alone: [1, features, pillars, slots].
    with pytest.raises(RuntimeError, match="input size"):
        torch.nn.Conv2d(6, 8, 1)(torch.zeros(1, 6, 0, 5))
    net = PillarNet(8, 5).train(training)
    few, none = random_pillars([3], SMALL), none_like(random_pillars([3], SMALL))
    assert [len(features) for features in net(few, none)] == [3, 0]
    assert [len(features) for features in net(none, none)] == [0, 0]


def test_batch_statistics_cover_every_pillar_of_both_polarities_and_all_frames(random_pillars):
    positive, negative = random_pillars([40, 25], SMALL, 3), random_pillars([0, 30], SMALL, 4)
    net = PillarNet(8, 5).train()
    net(positive, negative)
    slots = slot_inputs(positive, negative)  # padding too
    hidden = torch.einsum("cf,fsp->csp", net.point_conv.weight.flatten(1), slots).flatten(1)
    hidden = hidden + net.point_conv.bias[:, None]
    momentum = net.norm.momentum
    torch.testing.assert_close(net.norm.running_mean, momentum * hidden.mean(dim=1))
    expected = (1 - momentum) + momentum * hidden.var(dim=1)
    torch.testing.assert_close(net.norm.running_var, expected)


def test_sample_statistics_are_those_of_one_call_for_each_frame_and_polarity(random_pillars):
    positive, negative = (
        random_pillars([40, 0, 25], SMALL, 3),
        random_pillars([10, 30, 5], SMALL, 4),
    )
    together, alone = PillarNet(8, 5, "sample").train(), PillarNet(8, 5, "batch").train()
    alone.load_state_dict(together.state_dict())
    got = together(positive, negative)
    for frame in range(3):
        for features, pillars in zip(got, (positive, negative), strict=True):
            rows = pillars.coords[:, 0] == frame
            one = Pillars(pillars.points[rows], pillars.num_points[rows], pillars.coords[rows])
            torch.testing.assert_close(features[rows], alone(one, none_like(one))[0])
    torch.testing.assert_close(together.norm.running_var, alone.norm.running_var)
    assert together.norm.num_batches_tracked == 5  # a frame without pillars has no statistics


def test_coordinates_keep_float32_under_autocast(random_pillars):
    pillars = random_pillars([60], ModelSettings(), 5)
    net = PillarNet(8, 5).eval()
    expected, _ = net(pillars, none_like(pillars))
    with torch.autocast("cpu", torch.bfloat16):
        features, _ = net(pillars, none_like(pillars))
        canvas = scatter_to_canvas([features], [pillars.coords], 1, (512, 512))
    assert torch.equal(features, expected)
    assert canvas.dtype == torch.bfloat16
