"""What the simulated objects look like: each class as a few convex parts that may swing or spin.

Coordinates of a part are in object units: x forward (the way the object faces), y up, the object's
foot at (0, 0), its height 1. Parts are drawn in order, later ones on top.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

MAX_CORNERS = 8
_TYRE, _GLASS, _LAMP = -1.3, -0.9, 1.1  # log intensity against the scene's mean
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Part:
    """One convex part.

    ``points`` are a polygon's corners (at most eight), or, with ``radius > 0``, the two ends of a
    capsule (equal ends: a disc). ``shade`` is its log intensity against the scene's mean; with
    ``painted`` the object's own paint is added. ``texture`` is the standard deviation of its
    surface pattern. It swings about ``pivot`` by ``swing`` radians at ``phase`` of the object's
    stride, or spins with the wheels by ``spin`` (1: with the stride, 0: not at all). Only ``solid``
    parts count for the object's box.
    """

    points: Points
    radius: float = 0.0
    shade: float = 0.0
    painted: bool = True
    texture: float = 0.12
    pivot: tuple[float, float] = (0.0, 0.0)
    swing: float = 0.0
    phase: float = 0.0
    spin: float = 0.0
    solid: bool = True


def extent(parts: Sequence[Part]) -> tuple[float, float, float, float]:
    """Where the solid parts, at rest, end in object units: least x and y, largest x and y."""
    ends = [(x, y, part.radius) for part in parts if part.solid for x, y in part.points]
    return (
        min(x - radius for x, _, radius in ends),
        min(y - radius for _, y, radius in ends),
        max(x + radius for x, _, radius in ends),
        max(y + radius for _, y, radius in ends),
    )


@dataclass(frozen=True)
class ClassLook:
    """How a class is drawn and moves.

    Attributes:
        metres: The object's height.
        lifted: Height of its foot above the ground, in metres.
        pixels: Range of its height on a 1280 x 720 sensor.
        speed: Range of its speed across that sensor in pixels a second; ``None``: it stands in the
            world.
        strides: Object heights it travels in one stride or one turn of a wheel.
    """

    parts: Callable[[np.random.Generator], list[Part]]
    metres: float
    pixels: tuple[float, float]
    speed: tuple[float, float] | None
    lifted: float = 0.0
    strides: float = field(default=1.0)


def _disc(x: float, y: float, radius: float, **look: object) -> Part:
    return Part([(x, y), (x, y)], radius, **look)  # type: ignore[arg-type]


def _quad(x0: float, y0: float, x1: float, y1: float, **look: object) -> Part:
    return Part([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], **look)  # type: ignore[arg-type]


def _wheel(x: float, radius: float) -> list[Part]:
    """A tyre, its rim and one spoke that shows the turning."""
    centre = (x, radius)
    spoke = Part(
        [(x - 0.5 * radius, radius), (x + 0.5 * radius, radius)],
        0.1 * radius,
        _TYRE,
        painted=False,
        pivot=centre,
        spin=1.0,
    )
    return [
        _disc(x, radius, radius, shade=_TYRE, painted=False),
        _disc(x, radius, 0.55 * radius, shade=0.3, painted=False),
        spoke,
    ]


def _pedestrian(rng: np.random.Generator) -> list[Part]:
    swing = rng.uniform(0.3, 0.5)
    trousers, skin = rng.choice([-0.5, 0.45]), 0.5
    limb: dict[str, object] = {"painted": False, "shade": trousers}
    hip, shoulder = (0.0, 0.5), (0.0, 0.8)
    leg, arm = [hip, (0.0, 0.05)], [shoulder, (0.02, 0.45)]
    return [
        Part(arm, 0.03, pivot=shoulder, swing=swing, phase=math.pi),
        Part(leg, 0.05, pivot=hip, swing=swing, **limb),  # type: ignore[arg-type]
        Part(leg, 0.05, pivot=hip, swing=swing, phase=math.pi, **limb),  # type: ignore[arg-type]
        Part([(0.0, 0.56), (0.0, 0.76)], 0.09),
        Part(arm, 0.035, shade=-0.15, pivot=shoulder, swing=swing),
        _disc(0.01, 0.92, 0.075, shade=skin, painted=False),
    ]


def _two_wheeler(rng: np.random.Generator) -> list[Part]:
    base = rng.uniform(0.32, 0.38)
    tube: dict[str, object] = {"painted": False, "shade": -0.6}
    hip, pedal = (-0.08, 0.58), (0.02, 0.2)
    parts = []
    for x in (-base, base):
        ring = [_disc(x, 0.2, 0.2, shade=_TYRE, painted=False)]
        ring.append(_disc(x, 0.2, 0.15, shade=0.15, painted=False, texture=0.2))
        for turn in (0.0, math.pi / 2):
            dx, dy = 0.16 * math.cos(turn), 0.16 * math.sin(turn)
            ends = [(x - dx, 0.2 - dy), (x + dx, 0.2 + dy)]
            ring.append(
                Part(ends, 0.012, -0.7, painted=False, pivot=(x, 0.2), spin=1.0, texture=0.0)
            )
        parts += ring
    parts += [
        Part([(-base, 0.2), (-0.1, 0.5)], 0.02, **tube),  # type: ignore[arg-type]
        Part([(-0.1, 0.5), pedal], 0.02, **tube),  # type: ignore[arg-type]
        Part([pedal, (base - 0.08, 0.5)], 0.02, **tube),  # type: ignore[arg-type]
        Part([(base, 0.2), (base - 0.1, 0.6)], 0.02, **tube),  # type: ignore[arg-type]
        Part([hip, (0.05, 0.2)], 0.05, -0.2, pivot=hip, swing=0.25),
        Part([hip, (0.05, 0.2)], 0.05, -0.1, pivot=hip, swing=0.25, phase=math.pi),
        Part([hip, (0.06, 0.8)], 0.085),
        Part([(0.06, 0.78), (base - 0.1, 0.6)], 0.03, 0.15),
        _disc(0.1, 0.925, 0.075, shade=0.55, painted=False),
    ]
    return parts


def _car(rng: np.random.Generator) -> list[Part]:
    half = rng.uniform(1.25, 1.45)
    tail = rng.choice([-0.95, -0.7, -0.45])  # estate, hatchback, saloon
    roof, front = (tail * half, 0.25 * half), 0.55 * half
    rear = max(-0.98 * half, roof[0] - 0.35)
    return [
        Part([(rear, 0.55), (front, 0.55), (roof[1], 1.0), (roof[0], 1.0)]),
        Part(
            [(rear + 0.14, 0.6), (-0.06, 0.6), (-0.06, 0.93), (roof[0] + 0.05, 0.93)],
            shade=_GLASS,
            painted=False,
        ),
        Part(
            [(0.02, 0.6), (front - 0.14, 0.6), (roof[1] - 0.04, 0.93), (0.02, 0.93)],
            shade=_GLASS,
            painted=False,
        ),
        Part(
            [
                (-half, 0.2),
                (half, 0.2),
                (half, 0.42),
                (0.93 * half, 0.53),
                (front, 0.6),
                (-0.97 * half, 0.6),
                (-half, 0.5),
            ]
        ),
        _quad(-0.95 * half, 0.2, 0.95 * half, 0.27, shade=-0.8, painted=False),
        _quad(half - 0.14, 0.36, half - 0.03, 0.45, shade=_LAMP, painted=False),
        *_wheel(-0.62 * half, 0.22),
        *_wheel(0.62 * half, 0.22),
    ]


def _truck(rng: np.random.Generator) -> list[Part]:
    length = rng.uniform(1.0, 1.2)
    bed = length - 0.62
    return [
        _quad(-length, 0.16, length - 0.05, 0.24, shade=-1.0, painted=False),
        _quad(-length, 0.24, bed, 1.0, shade=0.1, texture=0.22),
        _quad(-length, 0.24, bed, 0.3, shade=-0.5, painted=False),
        Part(
            [
                (bed + 0.08, 0.14),
                (length, 0.14),
                (length, 0.45),
                (length - 0.08, 0.78),
                (bed + 0.08, 0.78),
            ],
            shade=-0.2,
        ),
        Part(
            [
                (bed + 0.26, 0.48),
                (length - 0.05, 0.48),
                (length - 0.11, 0.72),
                (bed + 0.26, 0.72),
            ],
            shade=_GLASS,
            painted=False,
        ),
        *_wheel(-0.75 * length, 0.14),
        *_wheel(-0.45 * length, 0.14),
        *_wheel(0.72 * length, 0.14),
    ]


def _bus(rng: np.random.Generator) -> list[Part]:
    half = rng.uniform(1.4, 1.65)
    panes = 6
    pitch = 1.8 * half / panes
    left = -0.92 * half
    return [
        Part(
            [
                (-half, 0.1),
                (half, 0.1),
                (half, 0.92),
                (half - 0.08, 1.0),
                (0.08 - half, 1.0),
                (-half, 0.92),
            ]
        ),
        _quad(-half, 0.32, half, 0.38, shade=0.9, painted=False),
        *(
            _quad(
                left + i * pitch, 0.48, left + (i + 0.8) * pitch, 0.86, shade=_GLASS, painted=False
            )
            for i in range(panes)
        ),
        *_wheel(-0.6 * half, 0.15),
        *_wheel(0.65 * half, 0.15),
    ]


def _traffic_sign(rng: np.random.Generator) -> list[Part]:
    pole = Part([(0.0, -3.2), (0.0, 0.1)], 0.05, 0.2, painted=False, solid=False)
    kind = rng.integers(3)
    rim: dict[str, object] = {"shade": -0.7, "painted": False}
    face: dict[str, object] = {"shade": 0.9, "painted": False, "texture": 0.0}
    if kind == 0:
        plate = [_disc(0, 0.5, 0.5, **rim), _disc(0, 0.5, 0.38, **face)]
    elif kind == 1:
        plate = [
            Part([(-0.56, 0.0), (0.56, 0.0), (0.0, 1.0)], **rim),  # type: ignore[arg-type]
            Part([(-0.37, 0.12), (0.37, 0.12), (0.0, 0.77)], **face),  # type: ignore[arg-type]
        ]
    else:
        corners = [(math.cos(a), math.sin(a)) for a in np.arange(8) * math.pi / 4 + math.pi / 8]
        octagon = [(0.54 * x, 0.5 + 0.54 * y) for x, y in corners]
        plate = [
            Part(octagon, **rim),  # type: ignore[arg-type]
            _quad(-0.36, 0.38, 0.36, 0.62, **face),
        ]
    return [pole, *plate, _quad(-0.07, 0.25, 0.07, 0.62, shade=-1.0, painted=False)]


def _traffic_light(rng: np.random.Generator) -> list[Part]:
    lit = rng.integers(3)
    return [
        Part([(0.0, -2.6), (0.0, 0.1)], 0.05, -0.2, painted=False, solid=False),
        _quad(-0.2, 0.0, 0.2, 1.0, shade=-1.0, painted=False),
        *(
            _disc(0, 0.18 + 0.32 * i, 0.12, shade=1.6 if i == lit else -0.35, painted=False)
            for i in range(3)
        ),
    ]


#: By class number, in the order of :data:`pipeline.release.labels.CLASS_NAMES`.
CLASS_LOOKS = (
    ClassLook(_pedestrian, 1.7, (100, 240), (40, 130), strides=0.8),
    ClassLook(_two_wheeler, 1.7, (100, 230), (120, 320), strides=1.25),
    ClassLook(_car, 1.5, (70, 180), (150, 600), strides=1.4),
    ClassLook(_truck, 3.4, (140, 280), (100, 400), strides=0.9),
    ClassLook(_bus, 3.1, (140, 260), (100, 350), strides=0.95),
    ClassLook(_traffic_sign, 0.8, (60, 120), None, lifted=2.6),
    ClassLook(_traffic_light, 1.1, (80, 140), None, lifted=2.9),
)
