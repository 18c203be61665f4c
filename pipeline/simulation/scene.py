"""A simulated street: textured surroundings, a moving camera, and objects of the seven classes.

Lengths in the world are metres: east (right), north (ahead) and up. Everything is a function of
time, so any instant can be drawn without those before it. Screen sizes follow the sensor: what
covers 100 pixels on a 1280 x 720 sensor covers 25 on a 320 x 180 one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.simulation.rendering import draw_parts, draw_street, mark_parts
from pipeline.simulation.silhouettes import CLASS_LOOKS, MAX_CORNERS, ClassLook, Part
from pipeline.simulation.stops import Timing, undisturbed
from pipeline.simulation.street import BUILDING, HALF_STREET, TEXEL, Surroundings

FOCAL = 1000.0  # pixels at 1280 x 720
CAMERA_UP, _HORIZON = 2.5, 0.36  # metres above the ground; share of the frame's height
_NEAREST = 1.0  # metres; nothing closer is drawn
_PATTERN_TEXELS = 24.0  # texels of the surface pattern along an object's height
_SPECK = 8.0  # pixels at 1280 x 720: what is smaller has no box
_MAX_APPROACH = 0.5  # an object's distance changes by the factor e to this power at most
MIN_VISIBLE = 0.3  # share of a silhouette that must be in sight for a box


def sensor_scale(sensor: tuple[int, int]) -> float:
    """How large things are on this sensor (width, height), against 1280 x 720."""
    return min(sensor[0] / 1280, sensor[1] / 720)


@dataclass(frozen=True)
class SceneObject:
    """One object and its path.

    Relative to the camera it is at ``east``, ``north`` metres at ``time`` seconds; a moving one
    crosses at ``velocity`` metres a second and then comes closer by the share ``approach`` of its
    distance a second, within limits; a standing one (``velocity`` None) keeps its place in the world.
    """

    class_id: int
    track_id: int
    time: float
    east: float
    north: float
    velocity: float | None
    approach: float
    paint: float
    pattern: tuple[float, float]  # the pattern tile's texel at the object's foot
    parts: tuple[Part, ...]

    @property
    def look(self) -> ClassLook:
        """How its class is drawn and moves."""
        return CLASS_LOOKS[self.class_id]


@dataclass(frozen=True)
class Box:
    """An object as a tracker would report it: its silhouette's box in pixels, also out of frame.

    ``visible`` is the share of the silhouette that is in the frame and not behind another object.
    """

    class_id: int
    track_id: int
    x: float
    y: float
    w: float
    h: float
    visible: float


@dataclass(frozen=True)
class _PlacedParts:
    """All parts on the screen at one instant, far objects first; arguments of the kernels."""

    points: np.ndarray  # float64 [N, 8, 2] pixels
    counts: np.ndarray  # int64 [N]
    radii: np.ndarray  # float64 [N] pixels
    shades: np.ndarray  # float64 [N]
    textures: np.ndarray  # float64 [N]
    frames: np.ndarray  # float64 [N, 4]
    solid: np.ndarray  # bool [N]
    owners: np.ndarray  # int64 [N], index into the scene's objects


@dataclass(frozen=True)
class CameraPath:
    """How the camera drives.

    ``speed`` metres a second ahead, ``drift`` metres from side to side, and three swings (two of yaw,
    one of pitch) by ``sway`` radians at ``rate`` radians a second.
    """

    speed: float
    drift: float
    sway: tuple[float, float, float]
    rate: tuple[float, float, float]
    phase: tuple[float, float, float]

    def at(self, seconds: float) -> tuple[float, float, float, float]:
        """East and north in metres, yaw and pitch in radians."""
        swings = [
            amount * math.sin(rate * seconds + phase)
            for amount, rate, phase in zip(self.sway, self.rate, self.phase, strict=True)
        ]
        east = self.drift * math.sin(0.7 * seconds + self.phase[1])
        return east, self.speed * seconds, swings[0] + swings[1], swings[2]


class Scene:
    """One recording's world before a sensor of (width, height) pixels; without timing nothing stops."""

    def __init__(
        self,
        sensor: tuple[int, int],
        surroundings: Surroundings,
        path: CameraPath,
        objects: Sequence[SceneObject],
        timing: Timing | None = None,
    ) -> None:
        self.sensor = sensor
        self.objects = tuple(objects)
        self.path = path
        self._scale = sensor_scale(sensor)
        self._surroundings = surroundings
        self._timing = undisturbed(len(self.objects)) if timing is None else timing
        self._gather_parts()

    def timed(self, objects: Sequence[SceneObject], timing: Timing) -> "Scene":
        """The same street and drive, with these objects and stops."""
        return Scene(self.sensor, self._surroundings, self.path, objects, timing)

    def _gather_parts(self) -> None:
        """The parts of all objects as arrays, which the placement turns and scales at once."""
        rows = [(i, part) for i, item in enumerate(self.objects) for part in item.parts]
        parts = [part for _, part in rows]
        self._owners = np.array([i for i, _ in rows], np.int64)
        self._points = np.zeros((len(rows), MAX_CORNERS, 2))
        for n, part in enumerate(parts):
            self._points[n, : len(part.points)] = part.points
        self._counts = np.array([len(part.points) for part in parts], np.int64)
        self._radii = np.array([part.radius for part in parts], float)
        paint = [self.objects[i].paint if part.painted else 0.0 for i, part in rows]
        self._shades = np.array([part.shade for part in parts]) + paint
        self._textures = np.array([part.texture for part in parts], float)
        self._pivots = np.array([part.pivot for part in parts], float).reshape(-1, 1, 2)
        self._swings = np.array([(p.swing, p.phase, p.spin) for p in parts], float).reshape(-1, 3)
        self._solid = np.array([part.solid for part in parts], bool)

    def camera(self, seconds: float) -> np.ndarray:
        """Where the camera is and what it sees of the street.

        Returns:
            float64 ``[9]``: focal length, optical centre's column and the horizon's row in pixels; the
            camera's east, north and height in metres; metres a texel, half the street's width, a
            building's width.
        """
        east, north, yaw, pitch = self.path.at(self._timing.ego.at(seconds))
        width, height = self.sensor
        focal = FOCAL * self._scale
        centre, horizon = width / 2 + focal * yaw, height * _HORIZON + focal * pitch
        view = [focal, centre, horizon, east, north, CAMERA_UP, TEXEL, HALF_STREET, BUILDING]
        return np.array(view)

    def _fallen_back(self, i: int, seconds: float) -> tuple[float, float]:
        """How far east and north of the ego vehicle object ``i`` is because of its own stops, metres."""
        carried = self._timing.carried[i]
        assert carried is not None
        place, ego = (self.path.at(clock.at(seconds)) for clock in (carried, self._timing.ego))
        return place[0] - ego[0], place[1] - ego[1]

    def _place(self, seconds: float) -> _PlacedParts:
        camera = self.camera(seconds)
        focal, centre, horizon = camera[:3]
        count = len(self.objects)
        foot, size, facing, travel = (np.zeros((count, 2)), *np.zeros((3, count)))
        north = np.empty(count)
        for i, item in enumerate(self.objects):
            own = self._timing.own[i]
            past = own.at(seconds) - own.at(item.time)
            if item.velocity is None:
                then_east, then_north = self.path.at(self._timing.ego.at(item.time))[:2]
                east = item.east + then_east - camera[3]
                north[i] = item.north + then_north - camera[4]
                facing[i] = 1.0
            else:
                east = item.east + item.velocity * past
                nearer = _MAX_APPROACH * np.tanh(item.approach * past / _MAX_APPROACH)
                north[i] = item.north * np.exp(-nearer)
                facing[i] = np.sign(item.velocity)
                travel[i] = abs(item.velocity) * past / (item.look.metres * item.look.strides)
                if self._timing.carried[i] is not None:
                    now, then = self._fallen_back(i, seconds), self._fallen_back(i, item.time)
                    east, north[i] = east + now[0] - then[0], north[i] + now[1] - then[1]
            zoom = focal / max(north[i], _NEAREST)
            foot[i] = centre + zoom * east, horizon + zoom * (CAMERA_UP - item.look.lifted)
            size[i] = zoom * item.look.metres
        order = np.argsort(-north[self._owners], kind="stable")
        order = order[north[self._owners[order]] > _NEAREST]
        owners = self._owners[order]
        swing, phase, spin = self._swings[order].T
        turn = 2 * np.pi * travel[owners]
        angle = (swing * np.sin(turn + phase) - spin * turn)[:, None]
        arm = self._points[order] - self._pivots[order]
        cos, sin = np.cos(angle), np.sin(angle)
        turned = np.stack(
            [cos * arm[..., 0] - sin * arm[..., 1], sin * arm[..., 0] + cos * arm[..., 1]], axis=-1
        )
        turned += self._pivots[order]
        scale = np.stack([facing * size, -size], axis=1)[owners]  # [N, 2] pixels an object height
        pattern = np.array([item.pattern for item in self.objects]).reshape(-1, 2)[owners]
        texels = _PATTERN_TEXELS / scale  # texels a pixel
        origin = foot[owners] - pattern / texels
        return _PlacedParts(
            turned * scale[:, None] + foot[owners][:, None],
            self._counts[order],
            self._radii[order] * size[owners],
            self._shades[order],
            self._textures[order],
            np.concatenate([origin, texels], axis=1),
            self._solid[order],
            owners,
        )

    def draw(self, seconds: float, step: int = 1) -> np.ndarray:
        """Log intensity at that instant of every ``step``-th pixel, float32 ``[H/step, W/step]``."""
        width, height = self.sensor
        image = np.empty((-(-height // step), -(-width // step)), np.float32)
        still, camera = self._surroundings, self.camera(seconds)
        draw_street(image, step, still.ground, still.wall, still.sky, still.roofs, camera)
        placed = self._place(seconds)
        draw_parts(
            image,
            step,
            placed.points,
            placed.counts,
            placed.radii,
            placed.shades,
            placed.textures,
            placed.frames,
            self._surroundings.pattern,
        )
        return image

    def boxes(self, seconds: float) -> list[Box]:
        """Boxes of the objects in sight at that instant, by track id; none of mere specks."""
        placed = self._place(seconds)
        width, height = self.sensor
        solid = placed.solid
        points, counts, radii = placed.points[solid], placed.counts[solid], placed.radii[solid]
        owners = placed.owners[solid]
        reach = radii[:, None]
        used = np.arange(MAX_CORNERS) < counts[:, None]  # [N, 8]
        in_sight = mark_parts(np.full((height, width), -1, np.int32), points, counts, radii, owners)
        boxes = []
        for i in np.flatnonzero(in_sight):
            own = owners == i
            low = np.where(used[own, :, None], points[own] - reach[own, None], np.inf).min((0, 1))
            high = np.where(used[own, :, None], points[own] + reach[own, None], -np.inf).max((0, 1))
            w, h = (high - low).tolist()
            alone = np.full((int(h) + 2, int(w) + 2), -1, np.int32)
            ids = np.zeros(int(own.sum()), np.int64)
            whole = mark_parts(alone, points[own] - np.floor(low), counts[own], radii[own], ids)[0]
            visible = min(1.0, float(in_sight[i] / whole))
            if visible >= MIN_VISIBLE and min(w, h) >= _SPECK * self._scale:
                item = self.objects[i]
                x, y = low.tolist()
                boxes.append(Box(item.class_id, item.track_id, x, y, w, h, visible))
        return boxes
