"""Draws a simulated recording's traffic: which objects pass, when and where, how the camera drives."""

from collections.abc import Sequence

import numpy as np

from pipeline.simulation.scene import FOCAL, CameraPath, Scene, SceneObject
from pipeline.simulation.silhouettes import CLASS_LOOKS
from pipeline.simulation.street import make_surroundings

_ASIDE = 560.0  # pixels at 1280 x 720: how far from the middle an object may pass
_BESIDE_LANE = 2.5  # metres from the camera's way to what stands beside it


def random_scene(
    sensor: tuple[int, int],
    span: tuple[float, float],
    classes: Sequence[int],
    weights: Sequence[float],
    objects: int,
    activity: float,
    rng: np.random.Generator,
) -> Scene:
    """A street with traffic.

    Args:
        sensor: Width and height in pixels.
        span: First and last second of the recording.
        classes: Numbers of the classes that appear.
        weights: How often each of them does.
        objects: How many pass by in that time, evenly spread.
        activity: Scales the camera's motion and, within limits, the objects' (1: a calm drive; 0: the
            camera stands).
        rng: Draws everything.
    """
    surroundings = make_surroundings(rng)
    path = _random_path(activity, rng)
    drawn = rng.choice(np.asarray(classes), objects, p=np.asarray(weights) / np.sum(weights))
    times = span[0] + (np.arange(objects) + rng.random(objects)) / objects * (span[1] - span[0])
    hurry = float(np.clip(activity, 0.4, 1.2))
    passing = [
        random_object(class_id, track, time, hurry, rng)
        for track, (class_id, time) in enumerate(
            zip(drawn.tolist(), times.tolist(), strict=True), start=1
        )
    ]
    return Scene(sensor, surroundings, path, passing)


def _random_path(activity: float, rng: np.random.Generator) -> CameraPath:
    slow, middle, fast = (activity * rng.uniform(0.02, 0.06, 3)).tolist()
    rate = rng.uniform([0.8, 2.0, 9.0], [1.6, 4.0, 14.0]).tolist()
    phase = rng.uniform(0, 2 * np.pi, 3).tolist()
    return CameraPath(
        speed=activity * rng.uniform(3.0, 6.0),
        drift=0.4 * min(activity, 1.0),
        sway=(slow, 0.4 * middle, 0.05 * fast),
        rate=(rate[0], rate[1], rate[2]),
        phase=(phase[0], phase[1], phase[2]),
    )


def random_object(
    class_id: int, track: int, time: float, hurry: float, rng: np.random.Generator
) -> SceneObject:
    """An object that is in the frame at ``time`` seconds; ``hurry`` scales its speed."""
    look = CLASS_LOOKS[class_id]
    north = look.metres * FOCAL / rng.uniform(*look.pixels)
    side = rng.choice([-1, 1])
    if look.speed is None:
        nearest = min(_BESIDE_LANE * FOCAL / north, 0.9 * _ASIDE)
        aside, velocity = side * rng.uniform(nearest, _ASIDE), None
    else:
        aside = rng.uniform(-_ASIDE, _ASIDE)
        velocity = side * hurry * rng.uniform(*look.speed) * north / FOCAL
    return SceneObject(
        class_id=class_id,
        track_id=track,
        time=time,
        east=aside * north / FOCAL,
        north=north,
        velocity=velocity,
        approach=float(np.clip(rng.normal(0, 0.06), -0.12, 0.12)),
        paint=rng.choice([-1, 1]) * rng.uniform(0.55, 1.1),
        pattern=(rng.uniform(0, 256), rng.uniform(0, 256)),
        parts=tuple(look.parts(rng)),
    )
