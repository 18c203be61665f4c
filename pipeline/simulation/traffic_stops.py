"""Draws where a simulated recording's traffic stops: the ego vehicle as at a light, single objects.

While the ego vehicle stands, most objects stand with it, some pass, some stop and start again on
their own; one may be hidden for a while by another that passes in front of it. While the ego vehicle
drives, an object may stand in the world.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pipeline.simulation.scene import CAMERA_UP, Scene, SceneObject
from pipeline.simulation.silhouettes import extent
from pipeline.simulation.stops import Clock, Stop, Timing

SHORTEST_STAND, LONGEST_STAND = 0.5, 4.0  # seconds
_FIRST, _BETWEEN = (0.2, 1.2), (1.0, 3.5)  # seconds of driving before and between stops
_BRAKE, _START = (0.6, 1.2), (0.7, 1.5)  # seconds, more where the vehicle is fast
_OWN_BRAKE, _OWN_START = (0.3, 0.7), (0.4, 0.9)
_HARDEST = 8.0  # metres a second²: neither braking nor starting takes more
_ALL_STAND = 1 / 3  # share of stops in which every object stands
_JOINS, _STOPS_ALONE = 0.55, 0.3  # of the objects in the others
_STANDS_IN_TRAFFIC = 0.4  # of the objects, between two stops, if the time is enough
_FALLS_BACK = 0.4  # of its distance: how far the ego vehicle comes closer meanwhile, at most
_NEARER = 1.15  # how much nearer than what it hides an occluding object passes
_WIDEST = 0.6  # of the frame: what is wider hides the whole scene
_FASTEST = 15.0  # metres a second: of an object that passes in front of another
_SHARE_OF_STAND = 0.8  # time that it takes for passing it
_LEFT_IN_SIGHT = 0.2  # of the hidden object's height, at most


@dataclass(frozen=True)
class _Passing:
    """Which object hides which, and during which of the ego vehicle's stops."""

    hider: int
    hidden: int
    stop: Stop


def with_stops(scene: Scene, span: tuple[float, float], rng: np.random.Generator) -> Scene:
    """The same scene, stopping now and then.

    Args:
        scene: In which nothing stops.
        span: First and last second of the recording.
        rng: Draws everything.
    """
    fastest = max([scene.path.speed, *(abs(item.velocity or 0.0) for item in scene.objects)])
    stops = _ego_stops(span, fastest, rng)
    objects, passing = _pass_in_front(scene, stops, span)
    ego = Clock(stops)
    own: list[Clock] = []
    carried: list[Clock | None] = []
    joined = [_is_one(rng, _ALL_STAND) for _ in stops]
    for i, item in enumerate(objects):
        if item.velocity is None:
            own.append(ego)
            carried.append(None)
            continue
        with_ego, alone = [], []
        for stop, is_all in zip(stops, joined, strict=True):
            chance = rng.random()
            if (
                passing is not None
                and passing.stop == stop
                and i in (passing.hider, passing.hidden)
            ):
                if i == passing.hidden:
                    with_ego.append(stop)
            elif is_all or chance < _JOINS:
                with_ego.append(stop)
            elif chance < _JOINS + _STOPS_ALONE:
                with_ego += _own_stop(item, (stop.rest, stop.go), rng)
        for before, after in pairwise(stops):
            if _is_one(rng, _STANDS_IN_TRAFFIC):
                falls_back = (
                    _FALLS_BACK * item.north / scene.path.speed if scene.path.speed else np.inf
                )
                alone += _own_stop(item, (before.end, after.begin), rng, falls_back)
        own.append(Clock([*with_ego, *alone]))
        carried.append(Clock([*stops, *alone]) if alone else None)
    return scene.timed(objects, Timing(ego, tuple(own), tuple(carried)))


def _is_one(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _least(speed: float) -> float:
    """Seconds that braking from a speed or reaching it takes at least; the peak is 1.5 × the mean."""
    return 1.5 * speed / _HARDEST


def _ego_stops(span: tuple[float, float], speed: float, rng: np.random.Generator) -> list[Stop]:
    stops = []
    begin = span[0] + rng.uniform(*_FIRST)
    while begin < span[1]:
        brake, start = (max(rng.uniform(*r), _least(speed)) for r in (_BRAKE, _START))
        stops.append(Stop(begin, brake, rng.uniform(SHORTEST_STAND, LONGEST_STAND), start))
        begin = stops[-1].end + rng.uniform(*_BETWEEN)
    return stops


def _own_stop(
    item: SceneObject,
    within: tuple[float, float],
    rng: np.random.Generator,
    lag: float = np.inf,
) -> list[Stop]:
    """A stop of one object within these seconds that costs it ``lag`` at most; none if too few."""
    speed = abs(item.velocity or 0.0)
    brake, start = (max(rng.uniform(*r), _least(speed)) for r in (_OWN_BRAKE, _OWN_START))
    least_lag = (brake + start) / 2
    longest = min(within[1] - within[0] - brake - start, LONGEST_STAND, lag - least_lag)
    if longest < SHORTEST_STAND:
        return []
    stand = rng.uniform(SHORTEST_STAND, longest)
    begin = rng.uniform(within[0], within[1] - brake - stand - start)
    return [Stop(begin, brake, stand, start)]


def _pass_in_front(
    scene: Scene, stops: Sequence[Stop], span: tuple[float, float]
) -> tuple[tuple[SceneObject, ...], _Passing | None]:
    """The objects, two of them moved so that one hides the other in the middle of the longest stand."""
    whole = [stop for stop in stops if stop.go <= span[1]]
    if not whole:
        return scene.objects, None
    stop = max(whole, key=lambda stop: stop.stand)
    middle = (stop.rest + stop.go) / 2
    by_time = sorted(range(len(scene.objects)), key=lambda i: abs(scene.objects[i].time - middle))
    for hidden in by_time:
        behind = scene.objects[hidden]
        for hider in by_time:
            if hider != hidden and (front := _in_front(behind, scene.objects[hider], stop, scene)):
                objects = list(scene.objects)
                objects[hidden] = replace(behind, time=middle)
                objects[hider] = replace(front, time=middle)
                return tuple(objects), _Passing(hider, hidden, stop)
    return scene.objects, None


def _in_front(
    behind: SceneObject, item: SceneObject, stop: Stop, scene: Scene
) -> SceneObject | None:
    """The object, passing right in front of another that stands; None if it would not hide it."""
    if item.velocity is None:
        return None
    own, other = _metres(item), _metres(behind)
    north = behind.north / _NEARER
    width, covered = own[2] - own[0], (other[2] - other[0]) / _NEARER
    top, bottom = (_NEARER * (CAMERA_UP - own[k]) for k in (3, 1))  # rows go down
    sight = CAMERA_UP - other[3], CAMERA_UP - other[1]
    hides = top <= sight[0] + _LEFT_IN_SIGHT * (sight[1] - sight[0]) and bottom >= sight[1]
    pixels = scene.camera(0.0)[0] * width / north
    speed = max(
        abs(item.velocity) * north / item.north, (width + covered) / (_SHARE_OF_STAND * stop.stand)
    )
    if not hides or width < covered or pixels > _WIDEST * scene.sensor[0] or speed > _FASTEST:
        return None
    return replace(
        item,
        east=behind.east / _NEARER,
        north=north,
        velocity=float(np.copysign(speed, item.velocity)),
        approach=0.0,
    )


def _metres(item: SceneObject) -> tuple[float, float, float, float]:
    """Its silhouette: left, lower, right and upper end, the heights above the ground."""
    left, low, right, high = (item.look.metres * end for end in extent(item.parts))
    return left, low + item.look.lifted, right, high + item.look.lifted
