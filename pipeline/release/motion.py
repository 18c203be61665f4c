"""How fast labelled objects move, and for how long one has been at rest.

A box's speed is the way of its corners, whichever goes farther, from the last earlier box of its track
to it, in pixels of the sensor a second; that of a track's first box is the next one's. An object that
comes closer moves, then, though its middle stays. A box without a track (number 0), or alone on it, is
judged by the events in it, a pixel and second: fewer tell of rest, as an event camera sees what changes.
Labels that jitter by more than a pixel from one window to the next never seem to rest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.release.shards import WINDOW_US

NO_TRACK = 0  # as where labels come without
RESTING, SLOW, MOVING, UNKNOWN = range(4)
#: Names of the kinds, by number.
MOTIONS = ("resting", "slow", "moving", "unknown")
NEVER_MOVED = -1


@dataclass(frozen=True)
class MotionLimits:
    """From where on something is slow, and from where on it moves.

    Attributes:
        slow_speed: Pixels a second: a pixel from one window to the next.
        moving_speed: Pixels a second: five from one window to the next.
        slow_density: Events a pixel and second in the box. Noise of a good camera has 0.1 and less.
        moving_density: Events a pixel and second: every pixel has one in ten windows.
    """

    slow_speed: float = 20.0
    moving_speed: float = 100.0
    slow_density: float = 0.5
    moving_density: float = 2.0


LIMITS = MotionLimits()


@dataclass(frozen=True)
class BoxMotion:
    """The motion of M boxes.

    Attributes:
        kinds: uint8 ``[M]``: RESTING, SLOW, MOVING or UNKNOWN.
        rests: int64 ``[M]``: windows since its track last moved or was slow, from 1 on; NEVER_MOVED for
            a track that has rested since its first box; 0 where it does not rest, or has no track.
    """

    kinds: np.ndarray
    rests: np.ndarray

    def rows(self, rows: np.ndarray) -> "BoxMotion":
        """Some of them, in the order of ``rows``."""
        return BoxMotion(self.kinds[rows], self.rests[rows])


def track_speeds(times: np.ndarray, tracks: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The speed of each box of a recording.

    Args:
        times: int64 ``[M]``, µs.
        tracks: int64 ``[M]``.
        corners: float64 ``[M, 4]``, x1, y1, x2, y2 in pixels.

    Returns:
        float64 ``[M]``, pixels a second; NaN where no other box of the track tells, and for the second
        of two boxes of a track at one time.
    """
    order = np.lexsort((times, tracks))
    t, track, box = times[order], tracks[order], corners[order]
    passed = np.diff(t)
    follows = (np.diff(track) == 0) & (passed > 0) & (track[1:] != NO_TRACK)
    with np.errstate(invalid="ignore"):  # of boxes at infinity nothing is known
        way = np.diff(box, axis=0)
    ways = np.maximum(np.hypot(way[:, 0], way[:, 1]), np.hypot(way[:, 2], way[:, 3]))
    speeds = np.full(len(t), np.nan)
    speeds[1:][follows] = ways[follows] / (passed[follows] * 1e-6)
    first = np.append(follows, False) & ~np.insert(follows, 0, False)[: len(t)]
    rows = np.flatnonzero(first)
    speeds[rows] = speeds[rows + 1]
    found = np.empty(len(t))
    found[order] = speeds
    return found


def box_motion(
    times: np.ndarray,
    tracks: np.ndarray,
    corners: np.ndarray,
    densities: np.ndarray | None = None,
) -> BoxMotion:
    """The motion of each box of a recording.

    Args:
        times: int64 ``[M]``, µs.
        tracks: int64 ``[M]``.
        corners: float64 ``[M, 4]``, x1, y1, x2, y2 in pixels.
        densities: float64 ``[M]``, events a pixel and second in each box, NaN where not known; None
            where they are not known at all.
    """
    speeds = track_speeds(times, tracks, corners)
    kinds = _kinds(speeds, LIMITS.slow_speed, LIMITS.moving_speed)
    rests = _rests(times, tracks, kinds)
    if densities is not None:
        by_events = _kinds(densities, LIMITS.slow_density, LIMITS.moving_density)
        kinds = np.where(kinds == UNKNOWN, by_events, kinds)
    return BoxMotion(kinds, rests)


def _kinds(values: np.ndarray, slow: float, moving: float) -> np.ndarray:
    kinds = np.digitize(values, (slow, moving)).astype(np.uint8)
    kinds[np.isnan(values)] = UNKNOWN
    return kinds


def _rests(times: np.ndarray, tracks: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Windows since the last motion of each track; ``kinds`` are those that its boxes tell."""
    rests = np.zeros(len(times), np.int64)
    last_motion: dict[int, int] = {}
    for row in np.lexsort((times, tracks)).tolist():
        track, t = int(tracks[row]), int(times[row])
        if kinds[row] in (SLOW, MOVING):
            last_motion[track] = t
        elif kinds[row] == RESTING:
            since = last_motion.get(track)
            rests[row] = NEVER_MOVED if since is None else max(1, round((t - since) / WINDOW_US))
    return rests


def event_densities(sums: np.ndarray, cell: tuple[float, float], corners: np.ndarray) -> np.ndarray:
    """Events a pixel and second in the cells that each box of a window touches.

    Args:
        sums: int32 ``[R+1, C+1]``, running sums of the window's events over cells, see
            :class:`pipeline.release.label_checks.EventCells`.
        cell: Width and height of a cell in pixels.
        corners: float64 ``[M, 4]``, x1, y1, x2, y2 in pixels.

    Returns:
        float64 ``[M]``; NaN for boxes that touch none.
    """
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    is_place = np.isfinite(corners).all(axis=1)
    scaled = np.where(is_place[:, None], corners, 0.0) / np.array([*cell, *cell])
    low, high = np.floor(scaled[:, :2]), np.ceil(scaled[:, 2:])
    limits = np.array([columns, rows])
    left, top = np.clip(low, 0, limits).astype(np.int64).T
    right, bottom = np.clip(high, 0, limits).astype(np.int64).T
    touched = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    counts = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    pixels = touched * (cell[0] * cell[1])
    densities = np.full(len(corners), np.nan)
    np.divide(counts, pixels * (WINDOW_US * 1e-6), out=densities, where=touched > 0)
    return densities


def counted_kinds(motion: BoxMotion) -> dict[str, int]:
    """How many boxes are of each kind, by name."""
    counts = np.bincount(motion.kinds, minlength=len(MOTIONS)).tolist()
    return dict(zip(MOTIONS, counts, strict=True))


def summed_kinds(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums of such counts."""
    rows = list(counts)
    return {name: sum(row[name] for row in rows) for name in MOTIONS}
