"""Stops: time slows, stands and goes on for what moves, smoothly.

A mover keeps its path. Where it is on it follows from its own :class:`Clock`, which runs as the time of
day but in stops: speeds are those of the path times the clock's rate, and what stands does not move at
all, to the last bit.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """One stop, in seconds.

    Attributes:
        begin: When braking begins.
        brake: How long it takes to come to rest.
        stand: How long nothing moves.
        start: How long it takes to be as fast as before.
    """

    begin: float
    brake: float
    stand: float
    start: float

    @property
    def rest(self) -> float:
        """When it stands."""
        return self.begin + self.brake

    @property
    def go(self) -> float:
        """When it starts again."""
        return self.rest + self.stand

    @property
    def end(self) -> float:
        """When it is as fast as before."""
        return self.go + self.start

    def covered(self, past: float) -> float:
        """How much of its way it has covered ``past`` seconds after the begin, in seconds of driving."""
        if past < self.brake:
            u = past / self.brake
            return self.brake * (u - u**3 + u**4 / 2)
        halted = self.brake / 2
        past -= self.brake + self.stand
        if past <= 0:
            return halted
        if past < self.start:
            u = past / self.start
            return halted + self.start * (u**3 - u**4 / 2)
        return halted + self.start / 2 + past - self.start


class Clock:
    """The time of something that stops now and then; without stops the time of day.

    Its rate falls from 1 to 0 and rises again as a smooth step (3u² − 2u³), so that accelerations have
    no jump.

    Args:
        stops: That do not overlap, in any order.
    """

    def __init__(self, stops: Iterable[Stop] = ()) -> None:
        self.stops = tuple(sorted(stops, key=lambda stop: stop.begin))
        self._begins = [stop.begin for stop in self.stops]
        self._values: list[float] = []  # at each begin
        for begin in self._begins:
            self._values.append(self.at(begin))

    def at(self, seconds: float) -> float:
        """What it shows at this time of day; in a stand always the same number."""
        k = bisect_right(self._begins, seconds, hi=len(self._values)) - 1
        if k < 0:
            return seconds
        return self._values[k] + self.stops[k].covered(seconds - self._begins[k])


@dataclass(frozen=True)
class Timing:
    """The clocks of a scene.

    An object that stops while the ego vehicle drives stays where it is in the world: it falls back by
    the way that the ego vehicle covers meanwhile.

    Attributes:
        ego: Of the camera, and of what stands in the world.
        own: Of each object's own motion.
        carried: What the ego vehicle's clock would show had it made the object's own stops too; None
            for an object that never stands while the ego vehicle drives.
    """

    ego: Clock
    own: tuple[Clock, ...]
    carried: tuple[Clock | None, ...]


def undisturbed(objects: int) -> Timing:
    """Nothing ever stops."""
    return Timing(Clock(), (Clock(),) * objects, (None,) * objects)
