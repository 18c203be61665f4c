"""The losses against the reference arrays and a plain, per-frame formulation of the release."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.boxes import box_iou
from dmanet.detection.losses import LossSettings, Targets, detection_loss
from tests.dmanet.matching_by_frame import match_one_frame

CLAMP = 1e-4  # the release keeps probabilities this far from 0 and 1
CLAMP_LOGIT = math.log((1 - CLAMP) / CLAMP)  # 9.21


def release_losses(probability, deltas, anchors, boxes, classes):
    """One frame's losses as the release defines them: clamped probabilities, a target matrix.

    ``probability`` [A, C], ``deltas`` [A, 4], ``boxes`` [N, 4], ``classes`` [N].
    """
    p = probability.clamp(CLAMP, 1 - CLAMP)
    if not len(boxes):
        return (0.75 * p**2 * -torch.log(1 - p)).sum(), deltas.new_zeros(())
    overlap, box = box_iou(anchors, boxes).max(dim=1)
    target = torch.full_like(p, -1)
    target[overlap < 0.4] = 0
    positive = overlap >= 0.5
    target[positive] = 0
    target[positive, classes[box[positive]]] = 1
    loss = torch.where(
        target == 1, 0.25 * (1 - p) ** 2 * -torch.log(p), 0.75 * p**2 * -torch.log(1 - p)
    )
    classification = loss[target >= 0].sum() / max(1, int(positive.sum()))
    if not positive.any():
        return classification, deltas.new_zeros(())
    anchor, truth = anchors[positive], boxes[box[positive]]
    wa, ha = anchor[:, 2] - anchor[:, 0], anchor[:, 3] - anchor[:, 1]
    w, h = truth[:, 2] - truth[:, 0], truth[:, 3] - truth[:, 1]
    goal = torch.stack(
        [
            (truth[:, 0] + w / 2 - anchor[:, 0] - wa / 2) / wa / 0.1,
            (truth[:, 1] + h / 2 - anchor[:, 1] - ha / 2) / ha / 0.1,
            torch.log(w.clamp(min=1) / wa) / 0.2,
            torch.log(h.clamp(min=1) / ha) / 0.2,
        ],
        dim=1,
    )
    error = (deltas[positive] - goal).abs()
    regression = torch.where(error <= 1 / 9, 4.5 * error**2, error - 0.5 / 9).mean()
    return classification, regression


@pytest.fixture(scope="module")
def reference(golden):
    """The reference arrays as tensors, and their padded annotations as targets."""
    with np.load(golden / "focal_loss.npz") as arrays:
        data = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    rows = data["annotations"]
    valid = rows[..., 4] >= 0
    data["targets"] = Targets(rows[valid][:, :4], rows[valid][:, 4].long(), valid.nonzero()[:, 0])
    data["anchors"] = anchors_for(tuple(data["image_hw"].tolist()), AnchorSettings())
    return data


def one_frame(targets, frame):
    rows = targets.frame == frame
    return Targets(
        targets.boxes[rows], targets.classes[rows], torch.zeros_like(targets.frame[rows])
    )


def test_golden_losses_of_the_release_formulation(reference):
    """The oracle of this file is the release: batch means and every sample, to 1e-5."""
    targets = reference["targets"]
    losses = torch.tensor(
        [
            release_losses(p, d, reference["anchors"], one.boxes, one.classes)
            for f, (p, d) in enumerate(
                zip(reference["classification"], reference["regression"], strict=True)
            )
            for one in [one_frame(targets, f)]
        ]
    )
    torch.testing.assert_close(losses[:, 0], reference["cls_loss_per_sample"], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses[:, 1], reference["reg_loss_per_sample"], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses.mean(0)[:1], reference["cls_loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses.mean(0)[1:], reference["reg_loss"], rtol=1e-5, atol=0)


def test_golden_losses_where_the_release_clamps_nothing(reference):
    """With logits held inside the clamp ours are the released numbers, batch and sample."""
    logits = reference["logits"].clamp(-CLAMP_LOGIT, CLAMP_LOGIT)
    targets, anchors = reference["targets"], reference["anchors"]
    loss = detection_loss(logits, reference["regression"], anchors, targets)
    torch.testing.assert_close(loss["classification"], reference["cls_loss"][0], rtol=1e-4, atol=0)
    torch.testing.assert_close(loss["regression"], reference["reg_loss"][0], rtol=1e-5, atol=0)
    for f in range(len(logits)):
        one = detection_loss(
            logits[f : f + 1], reference["regression"][f : f + 1], anchors, one_frame(targets, f)
        )
        torch.testing.assert_close(
            one["classification"], reference["cls_loss_per_sample"][f], rtol=1e-4, atol=0
        )
        torch.testing.assert_close(
            one["regression"], reference["reg_loss_per_sample"][f], rtol=1e-5, atol=0
        )


def test_golden_gradients_inside_the_clamp_and_alive_outside(reference):
    logits = reference["logits"].clone().requires_grad_()
    deltas = reference["regression"].clone().requires_grad_()
    loss = detection_loss(logits, deltas, reference["anchors"], reference["targets"])
    sum(loss.values()).backward()
    torch.testing.assert_close(deltas.grad, reference["grad_regression"], rtol=1e-4, atol=1e-8)

    p = reference["classification"].double()
    released = reference["grad_classification"].double() * p * (1 - p)  # w.r.t. the logits
    inside = (p > CLAMP * 1.001) & (p < 1 - CLAMP * 1.001)
    torch.testing.assert_close(logits.grad[inside].double(), released[inside], rtol=1e-3, atol=1e-7)
    outside = reference["logits"].abs() > CLAMP_LOGIT + 0.01
    assert outside.any()
    assert (released[outside] == 0).all()
    # Background called an object: pushed down by at least 1 − α over the frame's positives.
    targets, frames, seen = reference["targets"], len(logits), 0
    for f in range(frames):
        boxes = targets.boxes[targets.frame == f]
        positives = max(1, int((match_one_frame(reference["anchors"], boxes) >= 0).sum()))
        wrong = outside[f] & (reference["logits"][f] > 0) & (logits.grad[f] > 0)
        assert (logits.grad[f][wrong] * positives * frames > 0.99 * 0.75).all()
        seen += int(wrong.sum())
    assert seen


def random_case(seed, frames=3, size=64, spread=3.0, boxes_a_frame=4):
    generator = torch.Generator().manual_seed(seed)
    anchors = anchors_for((size, size), AnchorSettings())
    count = int(torch.randint(0, frames * boxes_a_frame + 1, (), generator=generator))
    corner = torch.rand(count, 2, generator=generator) * (size - 30)
    sides = 12 + torch.rand(count, 2, generator=generator) * 40
    targets = Targets(
        torch.cat([corner, corner + sides], dim=1),
        torch.randint(0, 7, (count,), generator=generator),
        torch.randint(0, frames, (count,), generator=generator),  # in no order
    )
    logits = torch.randn(frames, len(anchors), 7, generator=generator) * spread
    deltas = torch.randn(frames, len(anchors), 4, generator=generator)
    return logits.clamp(-9.2, 9.2), deltas, anchors, targets


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_loss_and_gradients_agree_with_the_release_formulation(seed):
    logits, deltas, anchors, targets = random_case(seed)
    ours = [logits.clone().requires_grad_(), deltas.clone().requires_grad_()]
    theirs = [logits.clone().requires_grad_(), deltas.clone().requires_grad_()]
    found = detection_loss(*ours, anchors, targets)
    per_frame = [
        release_losses(torch.sigmoid(theirs[0][f]), theirs[1][f], anchors, one.boxes, one.classes)
        for f in range(len(logits))
        for one in [one_frame(targets, f)]
    ]
    expected = [torch.stack(column).mean() for column in zip(*per_frame, strict=True)]
    for mine, other in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    sum(found.values()).backward()
    sum(expected).backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad, rtol=2e-3, atol=1e-6)
    torch.testing.assert_close(
        ours[1].grad, torch.zeros_like(deltas) if theirs[1].grad is None else theirs[1].grad
    )


def test_many_frames_are_worked_on_in_parts_with_the_same_result():
    logits, deltas, anchors, targets = random_case(5, frames=150, boxes_a_frame=1)
    assert logits.numel() > 2**20  # more than one part
    whole = detection_loss(logits, deltas, anchors, targets)
    alone = [
        detection_loss(logits[f : f + 1], deltas[f : f + 1], anchors, one_frame(targets, f))
        for f in range(len(logits))
    ]
    for name, value in whole.items():
        mean = torch.stack([loss[name] for loss in alone]).mean()
        torch.testing.assert_close(value, mean, rtol=1e-4, atol=1e-6)


def test_mean_over_frames_times_steps_is_the_sum_over_steps_of_batch_means():
    steps, batch = 3, 2
    logits, deltas, anchors, targets = random_case(11, frames=steps * batch)
    whole = detection_loss(logits, deltas, anchors, targets)
    by_step = []
    for t in range(steps):
        own = targets.frame // batch == t
        step = Targets(targets.boxes[own], targets.classes[own], targets.frame[own] - t * batch)
        part = slice(t * batch, (t + 1) * batch)
        by_step.append(detection_loss(logits[part], deltas[part], anchors, step))
    for name, value in whole.items():
        total = sum(loss[name] for loss in by_step)
        torch.testing.assert_close(steps * value, total, rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.booleans(), min_size=4, max_size=4))
def test_loss_is_that_of_the_counted_frames_alone(seed, counted):
    counted = torch.tensor(counted)
    logits, deltas, anchors, targets = random_case(seed, frames=4)
    ours = [logits.clone().requires_grad_(), deltas.clone().requires_grad_()]
    found = detection_loss(*ours, anchors, targets, counted=counted)
    sum(found.values()).backward()
    assert (ours[0].grad[~counted] == 0).all()
    assert (ours[1].grad[~counted] == 0).all()
    if not counted.any():
        assert all(value == 0 for value in found.values())
        return
    own = counted[targets.frame]
    renumbered = (counted.cumsum(0) - 1)[targets.frame[own]]
    alone = Targets(targets.boxes[own], targets.classes[own], renumbered)
    theirs = [logits[counted].requires_grad_(), deltas[counted].requires_grad_()]
    expected = detection_loss(*theirs, anchors, alone)
    sum(expected.values()).backward()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad[counted], other.grad, rtol=1e-6, atol=1e-9)


def test_processes_that_count_different_numbers_of_frames_average_to_the_whole():
    logits, deltas, anchors, targets = random_case(3, frames=4)
    counted = torch.tensor([True, False, True, True])
    whole = detection_loss(logits, deltas, anchors, targets, counted=counted)
    parts = []
    for part in (slice(0, 2), slice(2, 4)):
        own = (targets.frame >= part.start) & (targets.frame < part.stop)
        one = Targets(targets.boxes[own], targets.classes[own], targets.frame[own] - part.start)
        parts.append(
            detection_loss(
                logits[part],
                deltas[part],
                anchors,
                one,
                counted=counted[part],
                frames_total=counted.sum() / 2,
            )
        )
    for name, value in whole.items():
        torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2)


BACKGROUND_ONLY = Targets(
    torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
)


@pytest.mark.parametrize("logit", [9.5, 15.0, 100.0, 1e4])
def test_a_confidently_wrong_anchor_is_still_corrected(logit):
    """Its gradient is exactly 0 in the release beyond 9.21, and about 1 − α in ours."""
    anchors = anchors_for((8, 8), AnchorSettings(levels=(3,)))
    theirs = torch.full((1, len(anchors), 1), logit, requires_grad=True)
    release_losses(
        torch.sigmoid(theirs[0]),
        torch.zeros(len(anchors), 4),
        anchors,
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
    )[0].backward()
    assert (theirs.grad == 0).all()

    ours = torch.full((1, len(anchors), 1), logit, requires_grad=True)
    loss = detection_loss(ours, torch.zeros(1, len(anchors), 4), anchors, BACKGROUND_ONLY)
    loss["classification"].backward()
    torch.testing.assert_close(
        loss["classification"], torch.tensor(0.75 * logit * len(anchors)), rtol=1e-2, atol=0
    )
    torch.testing.assert_close(ours.grad, torch.full_like(ours, 0.75), rtol=1e-2, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_loss_and_gradient_are_finite_at_extreme_logits(logit, dtype):
    anchors = anchors_for((32, 32), AnchorSettings(levels=(3,)))
    targets = Targets(anchors[40:41].clone(), torch.tensor([0]), torch.tensor([0]))
    logits = torch.full((1, len(anchors), 2), logit, dtype=dtype, requires_grad=True)
    deltas = torch.zeros(1, len(anchors), 4, dtype=dtype, requires_grad=True)
    loss = sum(detection_loss(logits, deltas, anchors, targets).values())
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad.dtype == dtype
    # The one target is missed at −1e4: pulled up by α = 1/4; found at +1e4: nothing left to do.
    pulled = (logits.grad < 0).sum().item()
    assert pulled == 0 if logit > 0 else pulled > 0


def test_half_precision_outputs_give_the_float32_loss_of_the_same_numbers():
    logits, deltas, anchors, targets = random_case(2)
    half = detection_loss(logits.bfloat16(), deltas.bfloat16(), anchors, targets)
    full = detection_loss(logits.bfloat16().float(), deltas.bfloat16().float(), anchors, targets)
    for name, value in half.items():
        torch.testing.assert_close(value, full[name], rtol=0, atol=0)


def test_small_background_gradients_survive_float16_loss_scaling():
    anchors = anchors_for((8, 8), AnchorSettings(levels=(3,)))
    logits = torch.full((1, len(anchors), 1), -9.0, dtype=torch.float16, requires_grad=True)
    loss = detection_loss(logits, torch.zeros(1, len(anchors), 4), anchors, BACKGROUND_ONLY)
    (loss["classification"] * 2.0**16).backward()
    p = 1 / (1 + math.exp(9))
    slope = 0.75 * p**2 * (p + 2 * (1 - p) * -math.log(1 - p))  # 4e-12: 0 in float16
    torch.testing.assert_close(
        logits.grad.float(), torch.full_like(logits, slope * 2**16).float(), rtol=0.1, atol=0
    )


def test_more_than_sixty_boxes_in_a_frame():
    """The release fails on the 61st box."""
    anchors = anchors_for((128, 128), AnchorSettings())
    boxes = anchors[torch.arange(0, 4000, 40)].clone()  # 100 boxes, each one an anchor
    targets = Targets(boxes, torch.arange(100) % 7, torch.zeros(100, dtype=torch.int64))
    logits = torch.zeros(1, len(anchors), 7, requires_grad=True)
    deltas = torch.zeros(1, len(anchors), 4)
    detection_loss(logits, deltas, anchors, targets)["classification"].backward()
    own = logits.grad[0, torch.arange(0, 4000, 40), torch.arange(100) % 7]
    assert (own < 0).all()  # every one of them is pulled towards its class


def test_frames_without_boxes_cost_background_only():
    anchors = anchors_for((32, 32), AnchorSettings())
    logits = torch.zeros(2, len(anchors), 7, requires_grad=True)
    deltas = torch.zeros(2, len(anchors), 4, requires_grad=True)
    loss = detection_loss(logits, deltas, anchors, BACKGROUND_ONLY)
    expected = 0.75 * 0.25 * math.log(2) * len(anchors) * 7
    torch.testing.assert_close(loss["classification"], torch.tensor(expected))
    assert loss["regression"].item() == 0
    sum(loss.values()).backward()
    assert (deltas.grad == 0).all()


def test_low_quality_matches_train_a_thin_box():
    anchors = anchors_for((128, 128), AnchorSettings())
    targets = Targets(
        torch.tensor([[40.0, 40.0, 48.0, 80.5]]), torch.tensor([0]), torch.tensor([0])
    )
    for low_quality in (False, True):
        logits = torch.zeros(1, len(anchors), 7, requires_grad=True)
        deltas = torch.zeros(1, len(anchors), 4)
        loss = detection_loss(
            logits, deltas, anchors, targets, LossSettings(match_low_quality=low_quality)
        )
        loss["classification"].backward()
        assert bool((logits.grad[..., 0] < 0).any()) == low_quality
        assert bool(loss["regression"] > 0) == low_quality


def test_contradictory_thresholds_are_refused():
    with pytest.raises(ValidationError, match="must not exceed"):
        LossSettings(positive_iou=0.3, negative_iou=0.4)
