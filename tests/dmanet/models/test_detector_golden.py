"""The whole network against the released network's numbers."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dmanet.detection.anchors import anchors_for
from dmanet.detection.losses import Targets, detection_loss
from dmanet.detection.matching import IGNORED
from dmanet.models.detector import DMANet
from dmanet.models.pillar_net import Pillars
from dmanet.runs.released_names import from_released, released_names
from dmanet.settings import MODEL_PRESETS
from tests.dmanet.matching_by_frame import match_one_frame

EVERY_ROW, EVERY_VALUE = 97, 997  # the files hold every so-many-th row and value


@pytest.fixture(scope="module")
def file(golden: Path):
    return np.load(golden / "fullmodel.npz")


def pillars_of(file, steps, polarity):
    """The pillars of all sequences in the given steps."""
    parts = []
    sequences = range(batch_of(file))
    for frame, (t, b) in enumerate((t, b) for t in steps for b in sequences):
        prefix = f"step{t}/b{b}/{polarity}"
        coords = torch.from_numpy(file[f"{prefix}_coors"]).long()
        parts.append(
            (
                torch.from_numpy(file[f"{prefix}_voxels"]),
                torch.from_numpy(file[f"{prefix}_num_points"]).long(),
                torch.nn.functional.pad(coords, (1, 0), value=frame),
            )
        )
    return Pillars(*(torch.cat(part) for part in zip(*parts, strict=True)))


def step_count(file):
    return len({name.split("/")[0] for name in file.files if name.startswith("step")})


def batch_of(file):
    return len({name.split("/")[1] for name in file.files if name.startswith("step0/b")})


def assert_values(file, name, every, expected):
    # 1e-4, ten times the noise between two backends of the released code.
    expected = torch.from_numpy(file[f"{name}_{expected}"])
    torch.testing.assert_close(every, expected, atol=1e-4, rtol=0, msg=lambda m: f"{name}: {m}")


def assert_sum(file, name, values):
    # Sums have no tolerance of their own: 1e-5 of the summed magnitudes.
    off = values.double().sum() - float(file[f"{name}_sum"])
    assert off.abs() <= 1e-5 * file[f"{name}_abssum"], name


def assert_outputs(file, t, logits, deltas):
    for name, values in (("classification", logits.sigmoid()), ("regression", deltas)):
        assert_values(file, f"step{t}/{name}", values[:, ::EVERY_ROW], f"every{EVERY_ROW}")
        assert_sum(file, f"step{t}/{name}", values)


def assert_state(file, t, state):
    for i, level in enumerate(state):
        for name, values in (
            (f"step{t}/state{i}_hidden", level.hidden),
            (f"step{t}/state{i}_cell", level.cell),
            (f"step{t}/state{i}_feature", level.feature),
            (f"step{t}/fpn_features{i}", level.feature),  # what the short memory compares with
        ):
            every = values.flatten()[::EVERY_VALUE]
            assert_values(file, name, every, f"flat_every{EVERY_VALUE}")
            assert_sum(file, name, values)


def test_golden_weights_are_generated_to_the_bit(file, released_state):
    # Exact. A failure here means other random numbers, and says nothing about the network.
    digests = [
        zlib.crc32(released_state[name].numpy().tobytes()) for name in sorted(released_state)
    ]
    np.testing.assert_array_equal(digests, file["weight_crc32_of_sorted_names"])


@torch.no_grad()
def test_golden_network_over_its_steps_at_once_and_one_by_one(file, released_state):
    settings = MODEL_PRESETS["dmanet18"]
    model = DMANet(settings).eval()
    model.load_state_dict(from_released(released_state, settings))
    steps, batch = range(step_count(file)), batch_of(file)
    both = [pillars_of(file, steps, polarity) for polarity in ("pos", "neg")]
    output, last = model(*both, len(steps), batch)
    for t, logits, deltas in zip(
        steps, output.logits.split(batch), output.deltas.split(batch), strict=True
    ):
        assert_outputs(file, t, logits, deltas)
    assert_state(file, steps[-1], last)
    state = None
    for t in steps:
        one = [pillars_of(file, [t], polarity) for polarity in ("pos", "neg")]
        assert_sum(file, f"step{t}/spatial_feature", model.canvas(*one, batch))
        output, state = model(*one, 1, batch, state)
        assert_outputs(file, t, output.logits, output.deltas)
        assert_state(file, t, state)


def targets_of(annotations):
    """``[frames, 60, 5]``, padded with -1, as targets."""
    frame, row = (annotations[..., 4] >= 0).nonzero()
    real = annotations[frame, row]
    boxes, classes = torch.from_numpy(real[:, :4]), torch.from_numpy(real[:, 4]).long()
    return Targets(boxes, classes, torch.from_numpy(frame))


def released_class_loss(logits: Tensor, anchors: Tensor, targets: Targets) -> Tensor:
    """The release's focal loss, on clamped probabilities (ours is from logits, without a clamp)."""
    losses = []
    for frame, one in enumerate(logits):
        mine = targets.frame == frame
        match = match_one_frame(anchors, targets.boxes[mine])
        positive = match >= 0
        wanted = torch.zeros_like(one)
        wanted[positive, targets.classes[mine][match[positive]]] = 1
        p = one.sigmoid().clamp(1e-4, 1 - 1e-4)
        loss = torch.where(
            wanted == 1, -0.25 * (1 - p) ** 2 * p.log(), -0.75 * p**2 * (1 - p).log()
        )
        losses.append(loss[match != IGNORED].sum() / max(1, int(positive.sum())))
    return torch.stack(losses).mean()


def test_golden_training_losses_gradients_and_statistics(file, released_state):
    # Step by step with carried state and per-sample pillar statistics, as the release trains.
    # Tolerances: losses 1e-4 relative; gradient norms 1e-3 plus ten times each parameter's noise
    # between two backends of the released code (parameters with noise above 1e-2 are left out:
    # their true gradient is 0); statistics 1e-4 relative.
    settings = MODEL_PRESETS["dmanet18"].model_copy(update={"pillar_batch_norm": "sample"})
    model = DMANet(settings).train()
    model.load_state_dict(from_released(released_state, settings))
    anchors = anchors_for(settings.grid_size, settings.anchors)
    state, total = None, torch.zeros(())
    for t, annotations in enumerate(file["train/annotations"]):
        one = [pillars_of(file, [t], polarity) for polarity in ("pos", "neg")]
        output, state = model(*one, 1, batch_of(file), state)
        targets = targets_of(annotations)
        regression = detection_loss(output.logits, output.deltas, anchors, targets)["regression"]
        classification = released_class_loss(output.logits, anchors, targets)
        assert classification.item() == pytest.approx(file["train/cls_loss"][t], rel=1e-4)
        assert regression.item() == pytest.approx(file["train/reg_loss"][t], rel=1e-4)
        total = total + classification + regression
    assert total.item() == pytest.approx(float(file["train/total_loss"]), rel=1e-4)
    total.backward()

    ours = released_names(settings)
    noises = file["train/grad_noise_rel_l2"]
    parameters = dict(model.named_parameters())
    gradients = {
        str(name): parameters[ours[str(name)]].grad.double() for name in file["train/param_names"]
    }
    for i, (name, gradient) in enumerate(gradients.items()):
        if noises[i] > 1e-2:
            continue
        norm, allowed = file["train/grad_l2"][i], 1e-3 + 10 * noises[i]
        assert gradient.norm().item() == pytest.approx(norm, rel=allowed), name
        # A sum can cancel; it is off by no more than the norm's error over all its terms.
        off = abs(gradient.sum().item() - file["train/grad_sum"][i])
        assert off <= allowed * norm * gradient.numel() ** 0.5, name
    norm = torch.stack([g.norm() for g in gradients.values()]).norm().item()
    assert norm == pytest.approx(float(file["train/grad_total_norm"]), rel=1e-3)

    statistics = model.state_dict()
    for name, expected in zip(file["train/bn_names"], file["train/bn_sum"], strict=True):
        actual = statistics[ours[str(name)]].double()
        scale = max(1.0, actual.abs().sum().item())
        assert abs(actual.sum().item() - expected) <= 1e-4 * scale, name
