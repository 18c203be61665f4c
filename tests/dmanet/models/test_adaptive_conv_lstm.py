"""The long memory: reference arrays, recurrence, and gradients that stay bounded."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmanet.models.adaptive_conv_lstm import ConvLSTM, unit_embedding
from dmanet.settings import ModelSettings

EPS = ModelSettings().similarity_eps


def golden_state(file, kind="sd"):
    return {
        name.removeprefix(f"{kind}/")
        .replace("Gates", "gates")
        .replace("embed_layer.embed_convs", "embed")
        .replace("embed_convs", "embed"): torch.from_numpy(file[name])
        for name in file.files
        if name.startswith(f"{kind}/")
    }


def test_golden_states_and_gradients_over_three_steps(golden, close):
    # Tolerances: states 1e-5, gradients 1e-4 of the largest magnitude.
    file = np.load(golden / "convlstm.npz")
    inputs = torch.from_numpy(file["inputs"]).requires_grad_()  # [T, B, C, h, w]
    steps, batch = inputs.shape[:2]
    lstm = ConvLSTM(inputs.shape[2], True, EPS)
    lstm.load_state_dict(golden_state(file))
    hidden, last_hidden, last_cell = lstm(inputs.flatten(0, 1), steps, None, None)
    loss, state = torch.zeros(()), None
    for t in range(steps):
        # Step by step as well, for the cells between.
        h, c = lstm(inputs[t], 1, state, None)[1:]
        state = (h, c, inputs[t])
        close(hidden[t * batch : (t + 1) * batch], file[f"step{t}_hidden"], 1e-5)
        close(h, file[f"step{t}_hidden"], 1e-5)
        close(c, file[f"step{t}_cell"], 1e-5)
        g_hidden, g_cell = torch.from_numpy(file["G"][t])
        loss = loss + (h * g_hidden).sum() + (c * g_cell).sum()
    close(last_hidden, file[f"step{steps - 1}_hidden"], 1e-5)
    close(last_cell, file[f"step{steps - 1}_cell"], 1e-5)
    close(loss, file["loss"], 1e-4)
    loss.backward()
    close(inputs.grad, file["grad_inputs"], 1e-4)
    for name, gradient in golden_state(file, "grad").items():
        close(lstm.get_parameter(name).grad, gradient, 1e-4)


def golden_aggregator(golden):
    file = np.load(golden / "embed_aggregator.npz")
    lstm = ConvLSTM(file["cur"].shape[1], True, EPS)
    lstm.embed.load_state_dict(
        {name.removeprefix("embed."): value for name, value in golden_state(file).items()}
    )
    current, previous = (torch.from_numpy(file[k]).requires_grad_() for k in ("cur", "prev"))
    return file, lstm, current, previous


def documented_difference(lstm, current, previous):
    """Bound of the relative difference to the release's weights, see ``unit_embedding``."""
    bound = torch.zeros(1)
    for feature in (current, previous):
        norm = lstm.embed(feature).detach().norm(dim=1, keepdim=True)
        bound = bound + (EPS / norm) ** 2 / 2 + 1e-6 / norm
    return bound.nan_to_num(1)


def test_golden_similarity_weights_and_gradients(golden, close):
    # Tolerances: weights 1e-5, gradients 1e-4 of the largest magnitude, both more by the documented
    # difference of the stable form at the file's quietest cell (2e-5 at an embedding of length 0.1;
    # three times that for gradients, whose 1 / length differs likewise).
    file, lstm, current, previous = golden_aggregator(golden)
    bound = documented_difference(lstm, current, previous)
    weights = lstm.similarity(current, previous, batch=1)
    expected = torch.from_numpy(file["weights"])
    assert ((weights - expected).abs() <= expected * bound + 1e-5).all()
    (weights * torch.from_numpy(file["G"])).sum().backward()
    tolerance = 1e-4 + 3 * bound.max().item()
    close(current.grad, file["grad_cur"], tolerance)
    close(previous.grad, file["grad_prev"], tolerance)
    for name, gradient in golden_state(file, "grad").items():
        close(lstm.get_parameter(name).grad, gradient, tolerance)


@torch.no_grad()
def test_golden_similarity_of_quiet_regions_is_within_the_documented_bound(golden):
    # The bound of unit_embedding for both embeddings, plus 1e-5; exact where the weight is 0.
    file, lstm, current, previous = golden_aggregator(golden)
    lstm.embed[2].bias.copy_(torch.from_numpy(file["dead_bias2"]))
    weights = lstm.similarity(current, previous, batch=1)
    expected = torch.from_numpy(file["dead_weights"])
    bound = documented_difference(lstm, current, previous)
    assert ((weights - expected).abs() <= expected * bound + 1e-5).all()
    assert torch.equal(weights == 0, expected == 0)
    assert (weights == 0).double().mean() == pytest.approx(float(file["dead_zero_fraction"]))


def quiet_embeddings(norm, dtype):
    """Embeddings of one length at 64 cells, and gradients of 1 on their cosine similarity."""
    generator = torch.Generator().manual_seed(0)
    e = torch.randn(2, 16, 8, 8, generator=generator).abs()
    e = e / e.norm(dim=1, keepdim=True) * norm
    return e.to(dtype).requires_grad_()


def released_unit(e):
    return e / (e.norm(dim=1, keepdim=True) + 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm", [0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3])
def test_similarity_gradients_of_quiet_regions_are_bounded_by_one_over_eps(norm, dtype):
    e = quiet_embeddings(norm, dtype)
    unit = unit_embedding(e, EPS)
    assert unit.dtype == torch.float32
    (unit[0] * unit[1]).sum(dim=0).sum().backward()
    assert e.grad.isfinite().all()
    lengths = e.grad.float().norm(dim=1)
    assert lengths.max() <= 1.01 / EPS  # bfloat16 rounds by 0.4 %


def test_the_released_similarity_has_gradients_of_a_million_or_none_at_all():
    # What the stable form is for: the same embeddings through e / (|e| + 1e-6).
    e = quiet_embeddings(1e-7, torch.float32)
    unit = released_unit(e)
    (unit * torch.randn(unit.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert e.grad.norm(dim=1).max() > 1e6

    e = quiet_embeddings(1e-6, torch.float16)
    unit = released_unit(e)
    (unit * torch.ones_like(unit)).sum().backward()
    assert not e.grad.isfinite().all()


def test_unit_embedding_agrees_with_the_released_form_away_from_zero():
    e = quiet_embeddings(1.0, torch.float32).detach()
    torch.testing.assert_close(unit_embedding(e, EPS), released_unit(e), atol=2e-6, rtol=0)


def joint_gates_lstm(lstm, frames, steps, anew):
    """The textbook form: one step after the other, gates from the concatenation [x, h]."""
    hidden, cell, before, outputs = None, None, None, []
    for t, x in enumerate(frames.unflatten(0, (steps, -1))):
        h_in, c_in = torch.zeros_like(x) if lstm.zero_first else x, torch.zeros_like(x)
        if t > 0:
            w = torch.ones_like(x[:, :1])
            if lstm.embed is not None:
                a, b = (lstm.embed(y) for y in (x, before))
                a, b = (
                    e / torch.hypot(e.norm(dim=1, keepdim=True), torch.tensor(EPS)) for e in (a, b)
                )
                w = (a * b).sum(dim=1, keepdim=True)
            fresh = anew[t].view(-1, 1, 1, 1)
            h_in, c_in = torch.where(fresh, h_in, hidden * w), torch.where(fresh, c_in, cell * w)
        i, f, o, g = lstm.gates(torch.cat([x, h_in], dim=1)).chunk(4, dim=1)
        cell = f.sigmoid() * c_in + i.sigmoid() * g.tanh()
        hidden, before = o.sigmoid() * cell.tanh(), x
        outputs.append(hidden)
    return torch.cat(outputs), cell


@settings(deadline=None, max_examples=20)
@given(st.booleans(), st.booleans(), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**20))
def test_sequences_agree_with_the_textbook_form_wherever_they_begin(
    adaptive, zero_first, steps, batch, seed
):
    torch.manual_seed(seed)
    lstm = ConvLSTM(6, adaptive, EPS, zero_first=zero_first)
    frames = torch.randn(steps * batch, 6, 5, 4)
    reset = torch.rand(steps, batch) < 0.3
    hidden, last, cell = lstm(frames, steps, None, reset)
    expected, expected_cell = joint_gates_lstm(lstm, frames, steps, reset)
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(cell, expected_cell, atol=1e-5, rtol=0)
    assert torch.equal(last, hidden[-batch:])


def test_state_and_similarity_stay_float32_under_autocast():
    lstm = ConvLSTM(8, True, EPS)
    frames = torch.randn(6, 8, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        states = lstm(frames.bfloat16(), 3, None, None)
        weights = lstm.similarity(frames.bfloat16(), None, batch=2)
    assert {x.dtype for x in states} == {torch.float32}
    assert weights.dtype == torch.float32
    assert weights.max() <= 1 + 1e-6
