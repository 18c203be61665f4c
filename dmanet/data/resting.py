"""A window in which nothing moves: what a resting camera gives, and the boxes of the window before."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from pipeline.cache.packed_windows import PackedWindows
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.release.shards import EVENT_DTYPE, WINDOW_US


def noise_events(sensor: tuple[int, int], rate: float, rng: np.random.Generator) -> np.ndarray:
    """Events without a cause, in the order of time, ``EVENT_DTYPE [N]``.

    N is Poisson distributed; each is anywhere on the sensor, at any time of a window from 0 on, of any
    polarity.

    Args:
        sensor: width and height in pixels.
        rate: events a second and pixel.
        rng: of everything drawn.
    """
    width, height = sensor
    events = np.zeros(int(rng.poisson(rate * width * height * WINDOW_US * 1e-6)), EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, WINDOW_US, len(events)))
    events["x"] = rng.integers(0, width, len(events))
    events["y"] = rng.integers(0, height, len(events))
    events["p"] = rng.integers(0, 2, len(events))
    return events


def at_rest(window: PackedWindows, rate: float, seed: Sequence[int]) -> PackedWindows:
    """A window's boxes with noise in place of its events, voxelized as the cache is.

    Args:
        window: one window.
        rate: events of noise a second and pixel.
        seed: of the noise: numbers that are not negative.

    Returns:
        One window, which follows the one before it.
    """
    events = noise_events(window.encoding.sensor, rate, np.random.default_rng(list(seed)))
    packed = pack_window(events, _workspace(window.encoding))
    counts = [
        (0, 0),
        *((len(p), len(q)) for p, q in zip(packed.pillars, packed.points, strict=True)),
    ]
    return replace(
        window,
        pillars=np.concatenate(packed.pillars),
        points=np.concatenate(packed.points),
        offsets=np.cumsum(np.array(counts, np.int64), axis=0),
        spans=np.array([packed.span], np.int64),
        starts=np.zeros(1, bool),
    )


@lru_cache(maxsize=16)
def _workspace(encoding: PillarEncoding) -> Workspace:
    return Workspace(encoding)
