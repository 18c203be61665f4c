"""The release's formulas, as the stress runs put them into our network, are the release's."""

import numpy as np
import pytest
import torch

from benchmarks.released_formulation import (
    CLAMP_LOGIT,
    MemorySuspects,
    SuspectConvLSTM,
    clamped_focal_loss,
    released_matches,
    released_unit_embedding,
    suspect,
)
from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.losses import LossSettings, Targets
from dmanet.models.adaptive_conv_lstm import ConvLSTM
from dmanet.settings import ModelSettings

EPS = ModelSettings().similarity_eps
RELEASED = MemorySuspects(similarity=True, state=True)


def golden_memory(file, **changes) -> SuspectConvLSTM:
    """The release's long memory with a reference file's weights."""
    weights = {
        name.removeprefix("sd/")
        .replace("Gates", "gates")
        .replace("embed_layer.embed_convs", "embed")
        .replace("embed_convs", "embed"): torch.from_numpy(file[name])
        for name in file.files
        if name.startswith("sd/")
    }
    channels = weights["embed.0.weight"].shape[0]
    memory = suspect(ConvLSTM(channels, True, EPS), RELEASED)
    missing, surplus = memory.load_state_dict(weights, strict=False)
    assert not surplus
    assert set(missing) <= {"gates.weight", "gates.bias"}
    return memory


def test_golden_states_and_input_gradients_of_the_released_memory(golden):
    # States to 1e-6, gradients to 1e-5 of the largest.
    file = np.load(golden / "convlstm.npz")
    inputs = torch.from_numpy(file["inputs"]).requires_grad_()  # [T, B, C, h, w]
    steps, batch = inputs.shape[:2]
    memory = golden_memory(file)
    loss, state = torch.zeros(()), None
    for t in range(steps):
        _, hidden, cell = memory(inputs[t], 1, state, None)
        state = (hidden, cell, inputs[t])
        torch.testing.assert_close(
            hidden, torch.from_numpy(file[f"step{t}_hidden"]), atol=1e-6, rtol=0
        )
        torch.testing.assert_close(cell, torch.from_numpy(file[f"step{t}_cell"]), atol=1e-6, rtol=0)
        g_hidden, g_cell = torch.from_numpy(file["G"][t])
        loss = loss + (hidden * g_hidden).sum() + (cell * g_cell).sum()
    loss.backward()
    expected = torch.from_numpy(file["grad_inputs"])
    torch.testing.assert_close(
        inputs.grad, expected, atol=1e-5 * expected.abs().max().item(), rtol=0
    )
    with torch.no_grad():
        hidden, last, _ = memory(inputs.detach().flatten(0, 1), steps, None, None)
    torch.testing.assert_close(hidden[-batch:], last, atol=0, rtol=0)
    torch.testing.assert_close(
        last, torch.from_numpy(file[f"step{steps - 1}_hidden"]), atol=1e-6, rtol=0
    )


def test_golden_similarity_is_exact_also_where_embeddings_are_dead(golden):
    file = np.load(golden / "embed_aggregator.npz")
    current, previous = (torch.from_numpy(file[name]) for name in ("cur", "prev"))
    memory = golden_memory(file)
    with torch.no_grad():
        weights = memory.similarity(current, previous, 1)
        torch.testing.assert_close(weights, torch.from_numpy(file["weights"]), atol=1e-6, rtol=0)
        memory.embed[2].bias.copy_(torch.from_numpy(file["dead_bias2"]))
        weights = memory.similarity(current, previous, 1)
    torch.testing.assert_close(weights, torch.from_numpy(file["dead_weights"]), atol=1e-6, rtol=0)


def test_golden_clamped_focal_loss(golden):
    with np.load(golden / "focal_loss.npz") as arrays:
        data = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    rows = data["annotations"]
    valid = rows[..., 4] >= 0
    targets = Targets(rows[valid][:, :4], rows[valid][:, 4].long(), valid.nonzero()[:, 0])
    anchors = anchors_for(tuple(data["image_hw"].tolist()), AnchorSettings())
    logits = data["logits"].clone().requires_grad_()
    match = released_matches(anchors, targets, len(logits), LossSettings())
    loss = clamped_focal_loss(logits, match, targets.classes, LossSettings())
    torch.testing.assert_close(loss, data["cls_loss"][0], rtol=1e-5, atol=0)
    loss.backward()
    assert (logits.grad[data["logits"].abs() > CLAMP_LOGIT + 0.01] == 0).all()
    probability = data["classification"].double()
    expected = data["grad_classification"].double() * probability * (1 - probability)
    torch.testing.assert_close(logits.grad.double(), expected, rtol=1e-3, atol=1e-8)


def lively_memory(suspects: MemorySuspects) -> SuspectConvLSTM:
    torch.manual_seed(0)
    return suspect(ConvLSTM(6, True, EPS), suspects)


def test_without_suspects_it_is_our_memory_to_the_bit():
    torch.manual_seed(1)
    ours = ConvLSTM(6, True, EPS)
    other = suspect(ours, MemorySuspects(similarity=False, state=False))
    frames = torch.randn(6, 6, 5, 4)
    for mine, theirs in zip(ours(frames, 3, None, None), other(frames, 3, None, None), strict=True):
        assert torch.equal(mine, theirs)


def test_cutting_the_weighting_keeps_every_value_and_takes_the_embeddings_gradient():
    frames = torch.randn(6, 6, 5, 4)
    results = {}
    for weighting in (True, False):
        memory = lively_memory(MemorySuspects(similarity=True, state=False, weighting=weighting))
        hidden, _, _ = memory(frames, 3, None, None)
        hidden.square().sum().backward()
        results[weighting] = hidden.detach(), memory.embed[0].weight.grad
    assert torch.equal(results[True][0], results[False][0])
    assert results[True][1].abs().max() > 0
    assert results[False][1] is None


def test_the_released_state_has_the_dtype_that_operations_leave():
    frames = torch.randn(6, 6, 5, 4).bfloat16()
    for released, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        memory = lively_memory(MemorySuspects(similarity=True, state=released))
        with torch.autocast("cpu", torch.bfloat16):
            states = memory(frames, 3, None, None)
        assert {x.dtype for x in states} == {dtype}


def test_the_released_state_cannot_be_reset():
    memory = lively_memory(RELEASED)
    with pytest.raises(ValueError, match="never reset"):
        memory(torch.randn(2, 6, 5, 4), 1, None, torch.ones(1, 2, dtype=torch.bool))


def test_the_released_unit_embedding_keeps_the_dtype():
    e = torch.full((1, 4, 1, 1), 0.5)
    expected = torch.full((1, 4, 1, 1), 0.5 / (1 + 1e-6))
    torch.testing.assert_close(released_unit_embedding(e), expected)
    assert released_unit_embedding(e.half()).dtype == torch.float16
