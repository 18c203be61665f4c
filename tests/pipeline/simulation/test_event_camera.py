"""The event camera against a slow formulation, pixel by pixel, and its physical properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.release.shards import EVENT_DTYPE
from pipeline.simulation.event_camera import (
    CameraSettings,
    EventCamera,
    count_events,
    threshold_for_rate,
)

FRAME_US = 1000
levels = st.integers(-64, 64).map(lambda n: n / 32)
scenes = st.tuples(st.integers(2, 6), st.integers(1, 4), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=levels)  # [F, H, W]
)


def watch(frames, camera_settings, seed=0, start=0, frame_us=FRAME_US):
    """All events of a camera that is shown the frames, and the camera as it was before."""
    camera = EventCamera(camera_settings, frames[0], start, np.random.default_rng(seed))
    before = camera.on.copy(), camera.off.copy(), camera.reference.copy()
    spans = [camera.show(f, start + (k + 1) * frame_us) for k, f in enumerate(frames[1:])]
    return np.concatenate([np.empty(0, EVENT_DTYPE), *spans]), before


def slow_events(frames, on, off, reference, refractory_us):
    """The same camera without noise: one pixel at a time, one threshold at a time."""
    events = []
    height, width = frames.shape[1:]
    for y in range(height):
        for x in range(width):
            level_kept, last = reference[y, x], -(10**9)
            for k in range(1, len(frames)):
                a, b = float(frames[k - 1, y, x]), float(frames[k, y, x])
                up, down = float(on[y, x]), float(off[y, x])
                target = float(level_kept)
                while b >= target + up or b <= target - down:
                    target = target + up if b > target else target - down
                    t = int((target - a) / (b - a) * FRAME_US) if b != a else FRAME_US
                    t = (k - 1) * FRAME_US + min(max(t, 0), FRAME_US - 1)
                    if t - last >= refractory_us:
                        events.append((t, x, y, int(b > a)))
                        last = t
                level_kept = np.float32(target)
    return sorted(events)


@settings(max_examples=150, deadline=None)
@given(
    frames=scenes,
    threshold=st.floats(0.05, 0.8),
    refractory_us=st.sampled_from([0, 1, 90, 1500]),
    seed=st.integers(0, 1000),
)
def test_events_are_those_of_the_slow_formulation(frames, threshold, refractory_us, seed):
    camera_settings = CameraSettings(threshold, refractory_us=refractory_us)
    events, (on, off, reference) = watch(frames, camera_settings, seed)
    expected = slow_events(frames, on, off, reference, refractory_us)
    assert sorted(events.tolist()) == expected


@settings(max_examples=50, deadline=None)
@given(frames=scenes, refractory_us=st.integers(0, 3000), seed=st.integers(0, 1000))
def test_events_are_in_time_order_in_their_span_and_never_within_the_refractory_time(
    frames, refractory_us, seed
):
    camera_settings = CameraSettings(0.1, refractory_us=refractory_us, noise_hz=20_000)
    events, _ = watch(frames, camera_settings, seed, start=7000)
    t = events["t"].astype(int)
    assert (np.diff(t) >= 0).all()
    assert ((t >= 7000) & (t < 7000 + FRAME_US * (len(frames) - 1))).all()
    assert (events["x"] < frames.shape[2]).all()
    assert (events["y"] < frames.shape[1]).all()
    for pixel in np.unique(events[["x", "y"]]):
        own = t[events[["x", "y"]] == pixel]
        assert (np.diff(own) >= refractory_us).all()


def test_a_brighter_world_gives_positive_events_and_a_darker_one_negative():
    ramp = np.linspace(0, 2, 6)[:, None, None] * np.ones((1, 8, 8))
    quiet = CameraSettings(0.2, refractory_us=0)
    up, _ = watch(ramp.astype(np.float32), quiet)
    down, _ = watch(-ramp.astype(np.float32), quiet)
    assert len(up) > 8 * 8 * 8
    assert (up["p"] == 1).all()
    assert len(down) > 8 * 8 * 8
    assert (down["p"] == 0).all()


def test_the_number_of_events_of_a_step_is_the_step_over_the_threshold():
    step = np.zeros((2, 100, 100), np.float32)
    step[1] = 1.5
    events, _ = watch(step, CameraSettings(0.25, mismatch=0, refractory_us=0))
    # A step of 6 thresholds; a reference starts up to one above or below: 5 or 6 whole thresholds.
    assert len(events) / 10_000 == pytest.approx(5.5, abs=0.03)
    # Linear in time: as many events in the first half of the span as in the second.
    assert (events["t"] < FRAME_US / 2).mean() == pytest.approx(0.5, abs=0.1)


def test_a_still_world_gives_only_noise_of_both_polarities_everywhere_at_the_rate_asked_for():
    still = np.zeros((21, 40, 50), np.float32)
    events, _ = watch(still, CameraSettings(0.2, noise_hz=1e6), frame_us=5000)
    expected = 1e6 * 0.1
    # The refractory time swallows a share: 50 events a pixel in 100 ms, 500 µs each, 20 %.
    assert 0.75 * expected < len(events) < 0.9 * expected
    assert 0.48 < events["p"].mean() < 0.52
    per_pixel = np.bincount(events["y"] * 50 + events["x"].astype(int), minlength=2000)
    assert per_pixel.min() > 10
    assert len(watch(still, CameraSettings(0.2))[0]) == 0


def test_thresholds_differ_between_pixels_by_the_mismatch():
    flat = np.zeros((1, 200, 200), np.float32)
    _, (on, off, reference) = watch(flat, CameraSettings(0.3, mismatch=0.1))
    assert on.std() / on.mean() == pytest.approx(0.1, rel=0.05)
    assert abs(np.corrcoef(on.ravel(), off.ravel())[0, 1]) < 0.05
    assert (np.abs(reference) <= np.minimum(on, off)).all()


@pytest.mark.parametrize("wanted", [2_000, 20_000, 150_000])
def test_the_threshold_found_for_a_rate_gives_that_rate(wanted):
    rng = np.random.default_rng(5)
    frames = rng.normal(0, 0.2, (40, 1500)).cumsum(axis=0).astype(np.float32)  # [F, N]
    threshold = threshold_for_rate(
        [frames[:, :750], frames[:, 750:]], 4, FRAME_US, wanted / 2, 0, rng
    )
    phases = rng.uniform(-1, 1, 1500).astype(np.float32)
    found = count_events(frames, 4, FRAME_US, np.array([threshold]), phases, 0)[0]
    assert found == pytest.approx(wanted, rel=0.1)


def test_counting_events_agrees_with_a_camera_that_is_shown_the_same_frames():
    rng = np.random.default_rng(3)
    frames = rng.normal(0, 0.3, (10, 20, 30)).cumsum(axis=0).astype(np.float32)
    camera_settings = CameraSettings(0.2, mismatch=0, refractory_us=200)
    events, (_, _, reference) = watch(frames, camera_settings)
    phases = ((reference - frames[0]) / 0.2).astype(np.float32).ravel()
    flat = frames.reshape(10, -1)
    counted = count_events(flat, 3, FRAME_US, np.array([0.2]), phases, 200)[0]
    assert counted == pytest.approx((events["t"] >= 3 * FRAME_US).sum(), rel=0.002)
