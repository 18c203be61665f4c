"""The whole network: one network in two shapes of run, its sizes, variants and edge cases."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.models.detector import DMANet
from dmanet.settings import MODEL_PRESETS, ModelSettings

SMALL = MODEL_PRESETS["tiny"].model_copy(
    update={"grid_size": (64, 96), "stem_width": 8, "feature_size": 32}
)


def settings_with(**changes):
    return SMALL.model_copy(update=changes)


def frames_of(pillars, first, count):
    """The pillars of ``count`` frames from ``first`` on, as frames 0, 1, ..."""
    rows = (pillars.coords[:, 0] >= first) & (pillars.coords[:, 0] < first + count)
    coords = pillars.coords[rows] - torch.tensor([first, 0, 0, 0])
    return type(pillars)(pillars.points[rows], pillars.num_points[rows], coords)


def run_step_by_step(model, positive, negative, steps, batch, state=None, reset=None):
    outputs = []
    for t in range(steps):
        step = [frames_of(p, t * batch, batch) for p in (positive, negative)]
        now = None if reset is None else reset[t : t + 1]
        output, state = model(*step, 1, batch, state, now)
        outputs.append((output.logits, output.deltas))
    logits, deltas = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return logits, deltas, state


def assert_same(one, two, tolerance):
    """Equal to ``tolerance``, of the largest magnitude where that is above 1."""
    if two.numel():
        tolerance *= max(1.0, two.abs().max().item())
    torch.testing.assert_close(one, two, atol=tolerance, rtol=0)


def fields(level):
    return level.hidden, level.cell, level.feature


def assert_same_state(one, two, tolerance):
    for a, b in zip(one, two, strict=True):
        for x, y in zip(fields(a), fields(b), strict=True):
            assert_same(x, y, tolerance)


#: The forms of memory; what only begins otherwise is of the same form.
forms = pytest.mark.parametrize("form", [{}, {"first_hidden": "zero"}, {"long_memory": "hold"}])

# Frames without pillars, with one, and with one polarity only are as likely as ordinary ones.
counts = st.sampled_from([0, 1, 40])


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.data(),
    st.sampled_from(["adaptive", "plain", "hold", "none"]),
    st.sampled_from(["released", "zero"]),
    st.booleans(),
    st.integers(1, 4),
    st.integers(1, 3),
)
@torch.no_grad()
def test_a_sequence_at_once_equals_its_steps_one_by_one(
    random_pillars, lively_model, data, long_memory, first_hidden, short_memory, steps, batch
):
    # In evaluation mode, to 1e-5: any batch, any pillars, sequences that begin anywhere, with or
    # without a state from before.
    small = settings_with(
        long_memory=long_memory, first_hidden=first_hidden, short_memory=short_memory
    )
    model = lively_model(small)
    frames = steps * batch
    pillars = [
        random_pillars(data.draw(st.lists(counts, min_size=frames, max_size=frames)), small, seed)
        for seed in (1, 2)
    ]
    flags = data.draw(st.lists(st.booleans(), min_size=frames, max_size=frames))
    reset = data.draw(st.sampled_from([None, torch.tensor(flags).view(steps, batch)]))
    state = None
    if data.draw(st.booleans()):
        before = [random_pillars([30] * batch, small, seed) for seed in (3, 4)]
        _, state = model(*before, 1, batch)
    output, last = model(*pillars, steps, batch, state, reset)
    logits, deltas, last_by_step = run_step_by_step(model, *pillars, steps, batch, state, reset)
    assert_same(output.logits, logits, 1e-5)
    assert_same(output.deltas, deltas, 1e-5)
    assert_same_state(last, last_by_step, 1e-5)


@forms
def test_gradients_of_a_sequence_at_once_equal_those_of_its_steps(
    random_pillars, lively_model, form
):
    model = lively_model(settings_with(**form))
    steps, batch = 3, 2
    # Frames without a feature within rounding of a kink: there a ReLU may take either side, and with
    # seeds 1 and 2 one does under AVX2.
    pillars = [random_pillars([30] * 6, SMALL, seed) for seed in (3, 4)]
    weights = torch.randn(6, 1, 1)
    gradients = []
    for run in ("at once", "by step"):
        model.zero_grad()
        if run == "at once":
            output, _ = model(*pillars, steps, batch)
            logits, deltas = output.logits, output.deltas
        else:
            logits, deltas, _ = run_step_by_step(model, *pillars, steps, batch)
        ((logits + deltas.sum(dim=2, keepdim=True)) * weights).sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name, one in gradients[0].items():
        if name.endswith("phi.bias"):
            # What all keys share a softmax does not see: the true gradient is 0, and what is found
            # is rounding of the gradients of the weights.
            noise = 1e-5 * gradients[0][name.replace("bias", "weight")].abs().max()
            assert max(one.abs().max(), gradients[1][name].abs().max()) < noise
            continue
        assert_same(gradients[1][name], one, 1e-4)


@torch.no_grad()
def test_training_statistics_cover_all_frames_of_all_steps(random_pillars, lively_model):
    # The release's cover the frames of one step, and are updated once a step.
    model = lively_model(SMALL).train()
    pillars = [random_pillars([40, 10, 0, 5, 80, 3], SMALL, seed) for seed in (1, 2)]
    norm = model.backbone.stem_norm
    before = norm.running_mean.clone()
    seen = []
    handle = norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(*pillars, 3, 2)
    handle.remove()
    (features,) = seen  # one call for T * B = 6 frames
    assert len(features) == 6
    mean = features.mean(dim=(0, 2, 3))
    expected = before + norm.momentum * (mean - before)
    torch.testing.assert_close(norm.running_mean, expected)


@forms
@torch.no_grad()
def test_a_reset_sequence_is_a_new_one_whatever_came_before(random_pillars, lively_model, form):
    model = lively_model(settings_with(**form))
    pillars = [random_pillars([30] * 4, SMALL, seed) for seed in (1, 2)]
    _, state = model(*pillars, 2, 2)
    diverged = tuple(
        type(s)(s.hidden.fill_(math.nan), s.cell.fill_(math.inf), s.feature.clone().fill_(math.nan))
        for s in state
    )
    fresh, fresh_state = model(*pillars, 2, 2)
    reset = torch.tensor([[True, True], [False, False]])
    output, last = model(*pillars, 2, 2, diverged, reset)
    assert_same(output.logits, fresh.logits, 1e-6)
    assert_same_state(last, fresh_state, 1e-6)


@torch.no_grad()
def test_each_memory_reaches_the_next_step_and_not_the_other_sequence(random_pillars, lively_model):
    alone = {"short_memory": False}
    for memories in (alone, {"long_memory": "none"}, {"long_memory": "hold", **alone}):
        small = settings_with(**memories)
        model = lively_model(small)
        now = [random_pillars([40, 40], small, seed) for seed in (1, 2)]
        states = [
            model(*(random_pillars([40, 40], small, seed) for seed in seeds), 1, 2)[1]
            for seeds in ((3, 4), (5, 6))
        ]
        mixed = tuple(
            type(a)(*(torch.stack([x[0], y[1]]) for x, y in zip(fields(a), fields(b), strict=True)))
            for a, b in zip(*states, strict=True)
        )
        first, second, both = (model(*now, 1, 2, s)[0].logits for s in (*states, mixed))
        assert (first - second).abs().amax(dim=(1, 2)).min() > 1e-4
        assert_same(both, torch.stack([first[0], second[1]]), 1e-5)


def test_without_memories_frames_are_independent(random_pillars, lively_model):
    small = settings_with(long_memory="none", short_memory=False)
    model = lively_model(small)
    assert not [name for name, _ in model.named_parameters() if "memory" in name]
    pillars = [random_pillars([30] * 4, small, seed) for seed in (1, 2)]
    output, state = model(*pillars, 4, 1)
    alone, _ = model(*(frames_of(p, 3, 1) for p in pillars), 1, 1)
    assert_same(output.logits[3:], alone.logits, 1e-5)
    assert {level.hidden.shape[1] for level in state} == {0}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("statistics", ["batch", "sample"])
@pytest.mark.parametrize("counts", [([0, 0], [0, 0]), ([0, 0], [9, 1]), ([1, 0], [0, 0])])
def test_windows_with_hardly_an_event_give_finite_outputs_and_gradients(
    random_pillars, training, statistics, counts
):
    small = settings_with(pillar_batch_norm=statistics)
    torch.manual_seed(0)
    model = DMANet(small).train(training)
    output, state = model(*(random_pillars(n, small) for n in counts), 2, 1)
    (output.logits.sum() + output.deltas.sum()).backward()
    assert output.logits.isfinite().all()
    assert output.deltas.isfinite().all()
    assert all(level.cell.isfinite().all() for level in state)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert all(b.isfinite().all() for b in model.buffers())


@pytest.mark.parametrize("grid_size", [(32, 32), (64, 160), (100, 70), (720, 1280)])
@pytest.mark.parametrize("levels", [(3, 4, 5), (3, 4, 5, 6, 7)])
@torch.no_grad()
def test_any_grid_has_as_many_outputs_as_anchors(random_pillars, grid_size, levels):
    anchors = AnchorSettings(levels=levels, scales=(1.0, 1.5), ratios=(1.0,))
    small = settings_with(
        grid_size=grid_size, anchors=anchors, stem_width=8, feature_size=8, num_classes=3
    )
    pillars = [random_pillars([50, 50], small, seed) for seed in (1, 2)]
    output, _ = DMANet(small).eval()(*pillars, 2, 1)
    expected = len(anchors_for(grid_size, anchors))
    assert output.logits.shape == (2, expected, 3)
    assert output.deltas.shape == (2, expected, 4)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_every_depth_runs(random_pillars, depth):
    small = settings_with(depth=depth, stem_width=8, feature_size=16)
    model = DMANet(small).train()
    pillars = [random_pillars([50] * 4, small, seed) for seed in (1, 2)]
    output, _ = model(*pillars, 2, 2)
    output.deltas.sum().backward()
    assert model.backbone.stem_conv.weight.grad is not None


# The release counts 48 more at depth 18: a matrix that it stores and never uses.
@pytest.mark.parametrize(
    ("depth", "parameters"),
    [
        (18, 28_254_437 - 48),
        (34, 34_822_581),
        (50, 242_379_381),
        (101, 261_371_509),
        (152, 277_015_157),
    ],
)
def test_parameter_counts(depth, parameters):
    with torch.device("meta"):
        model = DMANet(ModelSettings(depth=depth))
    assert sum(p.numel() for p in model.parameters()) == parameters


@torch.no_grad()
def test_channels_last_gives_the_same_outputs(random_pillars, lively_model):
    model = lively_model(SMALL)
    pillars = [random_pillars([40] * 4, SMALL, seed) for seed in (1, 2)]
    expected, _ = model(*pillars, 2, 2)
    assert model.canvas(*pillars, 4).is_contiguous()
    model = model.to(memory_format=torch.channels_last)
    assert model.canvas(*pillars, 4).is_contiguous(memory_format=torch.channels_last)
    output, _ = model(*pillars, 2, 2)
    assert_same(output.logits, expected.logits, 1e-5)


@forms
def test_a_training_step_under_autocast_is_finite_and_close_to_float32(random_pillars, form):
    torch.manual_seed(0)
    model = DMANet(settings_with(**form)).to(memory_format=torch.channels_last).train()
    torch.nn.init.normal_(model.class_head.output.weight, std=0.05)
    pillars = [random_pillars([60] * 4, SMALL, seed) for seed in (1, 2)]
    expected, _ = model(*pillars, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        output, state = model(*pillars, 2, 2)
    difference = (output.logits.float() - expected.logits).abs().mean()
    assert difference < 0.05 * expected.logits.std()
    remembered = [x for level in state for x in (level.hidden, level.cell) if x.numel()]
    assert {x.dtype for x in remembered} == {torch.float32}
    output.logits.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.pillar_net.parameters())
