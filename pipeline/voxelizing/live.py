"""Windows of a raw recording as a cache would hold them, packed as they come, in bounded memory.

What :mod:`pipeline.ingest` and :mod:`pipeline.voxelizing` do on their way over shards and a cache: the
same windows with the same pillars, numbers, times and starts. The windows at the end that fill no shard,
which ingest throws away, are given too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.cache.packed_windows import PackedWindows
from pipeline.cache.settings import CacheSettings
from pipeline.errors import DataError
from pipeline.ingest.raw_recording import RawRecording
from pipeline.ingest.summary import recording_name
from pipeline.ingest.windows import RawWindow, WindowSplitter
from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.packing import PackedWindow, Workspace, pack_window
from pipeline.release.gaps import follows
from pipeline.release.shards import WINDOW_US


@dataclass(frozen=True)
class LiveWindows:
    """Consecutive windows of a recording.

    Attributes:
        windows: packed, without labels.
        events: int64 ``[n]``, of each window, inside the sensor.
    """

    windows: PackedWindows
    events: np.ndarray


@dataclass(frozen=True)
class _Numbered:
    packed: PackedWindow
    number: int
    t_start: int
    starts: bool


def live_windows(
    recording: RawRecording,
    settings: CacheSettings,
    *,
    steps: int,
    skip_us: int,
    first: int = 0,
    last: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[LiveWindows]:
    """Windows ``first`` to ``last`` (exclusive), ``steps`` at a time.

    Of a recording that is followed those that have come are given as soon as all that is there has been
    read, be they fewer; when it is stopped the window that was begun is left out.

    Args:
        recording: an open one.
        settings: by which windows become pillars; a window that they cannot hold is left out, as
            `voxelize` leaves it out.
        steps: windows at a time.
        skip_us: left out at the begin, counted from the window of the first event.
        first: number of the first window to give.
        last: number of the first window behind; None for all.
        stopped: asked at each window; True ends the recording there.

    Raises:
        RecordingError: the recording cannot be read.
        OSError: the machine fails to read it.
    """
    encoding = settings.encoding(recording.sensor)
    name = recording_name(recording.path)
    follow = recording.reading.growth is not None
    windows = _numbered(recording, encoding, skip_us, stopped)
    group: list[_Numbered] = []
    for window in windows:
        if window is not None and window.number >= first:
            group.append(window)
        ended = last is not None and window is not None and window.number + 1 >= last
        if group and (len(group) == steps or ended or (window is None and follow)):
            yield _joined(name, encoding, group)
            group = []
        if ended:
            return
    if group:
        yield _joined(name, encoding, group)


def _numbered(
    recording: RawRecording,
    encoding: PillarEncoding,
    skip_us: int,
    stopped: Callable[[], bool],
) -> Iterator[_Numbered | None]:
    """Every window, and None where all that is there has been read."""
    workspace = Workspace(encoding)
    number, previous = 0, None
    for raw in _raw_windows(recording, skip_us, stopped):
        if raw is None:
            yield None
            continue
        try:
            packed = pack_window(raw.events, workspace)
        except DataError:
            continue
        begin = raw.slot * WINDOW_US
        yield _Numbered(packed, number, begin, not follows(begin, previous))
        number, previous = number + 1, begin


def _raw_windows(
    recording: RawRecording, skip_us: int, stopped: Callable[[], bool]
) -> Iterator[RawWindow | None]:
    splitter = WindowSplitter(skip_us, str(recording.path))
    for block in recording.blocks():
        for window in splitter.add(block):
            if stopped():
                return
            yield window
        if not len(block):
            yield None
    if not stopped():
        yield from splitter.end()


def _joined(name: str, encoding: PillarEncoding, group: list[_Numbered]) -> LiveWindows:
    segments = [
        (one.packed.pillars[side], one.packed.points[side]) for one in group for side in (0, 1)
    ]
    lengths = np.array([[len(pillars), len(points)] for pillars, points in segments])
    windows = PackedWindows(
        recording=name,
        first=group[0].number,
        encoding=encoding,
        pillars=np.concatenate([pillars for pillars, _ in segments]),
        points=np.concatenate([points for _, points in segments]),
        offsets=np.concatenate([np.zeros((1, 2), np.int64), lengths.cumsum(axis=0)]),
        spans=np.array([one.packed.span for one in group], np.int64),
        t_start=np.array([one.t_start for one in group], np.int64),
        starts=np.array([one.starts for one in group]),
        boxes=np.empty((0, 4), np.float32),
        classes=np.empty(0, np.int64),
        box_window=np.empty(0, np.int64),
        tracks=np.empty(0, np.int64),
    )
    return LiveWindows(windows, np.array([one.packed.counts.in_range for one in group], np.int64))
