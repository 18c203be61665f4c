"""The memory that holds features: recurrence, where it begins, and what it can never do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.models.hold_memory import HoldMemory


def held_step_by_step(memory, frames, steps, anew):
    """The formula as it stands: one step after the other, the gate from the concatenation [x, m]."""
    held, outputs = None, []
    for t, x in enumerate(frames.unflatten(0, (steps, -1))):
        fresh = torch.ones(len(x), dtype=torch.bool) if held is None else anew[t]
        rows = []
        for b, feature in enumerate(x):
            if fresh[b]:
                rows.append(feature)
                continue
            z = memory.gate(torch.cat([feature, held[b]])[None])[0].sigmoid()
            rows.append((1 - z) * held[b] + z * feature)
        held = torch.stack(rows)
        outputs.append(held)
    return torch.cat(outputs)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**20))
def test_sequences_agree_with_the_formula_wherever_they_begin(steps, batch, seed):
    torch.manual_seed(seed)
    memory = HoldMemory(6)
    frames = torch.randn(steps * batch, 6, 5, 4)
    reset = torch.rand(steps, batch) < 0.3
    expected = held_step_by_step(memory, frames, steps, reset)
    torch.testing.assert_close(memory(frames, steps, None, reset), expected, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**20))
def test_nothing_that_is_held_is_larger_than_what_was_seen(seed):
    torch.manual_seed(seed)
    memory = HoldMemory(4)
    torch.nn.init.normal_(memory.gate.weight, std=3)
    frames = 10 * torch.randn(50, 4, 3, 3)
    held = memory(frames, 50, None, None)
    assert held.amax() <= frames.amax() * (1 + 1e-6)
    assert held.amin() >= frames.amin() * (1 + 1e-6)


def test_at_first_88_percent_are_of_the_newest_feature():
    memory = HoldMemory(4)
    memory.begin_with_the_newest()
    frames = torch.stack([torch.zeros(4, 3, 3), torch.ones(4, 3, 3)])
    assert memory(frames, 2, None, None)[1].detach() == pytest.approx(0.8808, abs=1e-4)


def test_a_closed_gate_holds_what_was_seen_first():
    memory = HoldMemory(4)
    memory.begin_with_the_newest()
    torch.nn.init.constant_(memory.gate.bias, -50.0)
    frames = torch.randn(30, 4, 3, 3)
    held = memory(frames, 30, None, None)
    torch.testing.assert_close(held, frames[:1].expand_as(held))


def test_what_is_held_stays_float32_under_autocast():
    memory = HoldMemory(8)
    with torch.autocast("cpu", torch.bfloat16):
        assert memory(torch.randn(6, 8, 5, 5).bfloat16(), 3, None, None).dtype == torch.float32
