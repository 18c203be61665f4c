"""Windows of events for tests: random ones for hypothesis, and slow formulations of both presets."""

import math

import numpy as np
from hypothesis import strategies as st

from pipeline.pillars.encoding import PillarEncoding
from pipeline.pillars.settings import PillarSettings
from pipeline.release.shards import EVENT_DTYPE, SENSOR_SIZE

Points = list[tuple[float, float, float]]
CellMap = dict[tuple[int, int, int], Points]


def encoding_of(
    preset: str = "release", sensor: tuple[int, int] = SENSOR_SIZE, **others
) -> PillarEncoding:
    """The encoding of a sensor by a preset and other pillar settings."""
    return PillarEncoding(PillarSettings(preset=preset, **others), sensor)


def events(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Records from (t, x, y, p) rows."""
    return np.array(rows, EVENT_DTYPE)


@st.composite
def random_windows(draw, sensor: tuple[int, int], max_events: int = 60) -> np.ndarray:
    """Windows sorted by time; some events outside the sensor, many equal times and pixels."""
    width, height = sensor
    span = draw(st.sampled_from([0, 1, 3, 50, 49_999]))
    row = st.tuples(
        st.integers(0, span),
        st.integers(0, width + 1),
        st.integers(0, height + 1),
        st.integers(0, 1),
    )
    rows = draw(st.lists(row, max_size=max_events))
    base = draw(st.sampled_from([0, 500_000, 2**32 - 60_000]))
    return events(sorted((t + base, x, y, p) for t, x, y, p in rows))


def slow_release(window: np.ndarray, encoding: PillarEncoding) -> tuple[CellMap, CellMap]:
    """Preset ``release`` event by event with dictionaries: the oracle of the compiled kernel."""
    s, sensor = encoding.settings, encoding.sensor
    inside = [(int(t), int(x), int(y), int(p)) for t, x, y, p in window if x < sensor[0]]
    inside = [e for e in inside if e[2] < sensor[1]]
    maps: tuple[CellMap, CellMap] = ({}, {})
    if not inside:
        return maps
    t_first, t_last = inside[0][0], inside[-1][0]
    claimed: dict[tuple[int, int], tuple[int, int]] = {}  # (gx, gy) -> (polarity, gt)
    for t, x, y, p in inside:
        gt = (s.num_bins - 1) * (t - t_first) // (t_last - t_first) if t_last > t_first else 0
        claimed.setdefault((x * s.grid[0] // sensor[0], y * s.grid[1] // sensor[1]), (p, gt))
    polarities = {p for p, _ in claimed.values()}
    for target in (0, 1):
        source = target if target in polarities else 1 - target
        for (gx, gy), (p, gt) in claimed.items():
            if p == source and gt < s.num_bins - 1:
                z = gt * s.time_cells // (s.num_bins - 1)
                if len(maps[target]) < s.max_pillars:
                    maps[target][z, gy, gx] = [(float(gx), float(gy), float(gt))]
    return maps


def slow_paper(window: np.ndarray, encoding: PillarEncoding) -> tuple[CellMap, CellMap]:
    """Preset ``paper`` event by event with dictionaries: the oracle of the compiled kernel."""
    s, sensor = encoding.settings, encoding.sensor
    inside = [(int(t), int(x), int(y), int(p)) for t, x, y, p in window if x < sensor[0]]
    inside = [e for e in inside if e[2] < sensor[1]]
    maps: tuple[CellMap, CellMap] = ({}, {})
    if not inside:
        return maps
    t_first, t_last = inside[0][0], inside[-1][0]
    seen: set[tuple[int, int]] = set()
    stopped = [False, False]
    for t, x, y, p in inside:
        if s.dedup == "pixel" and (x, y) in seen:
            continue
        seen.add((x, y))
        scale = s.num_bins - 1
        point = (
            np.float32(x / sensor[0] * s.grid[0]),
            np.float32(y / sensor[1] * s.grid[1]),
            np.float32(scale * (t - t_first) / (t_last - t_first) if t_last > t_first else 0.0),
        )
        z = math.floor(point[2] * np.float32(s.time_cells / scale))
        cell = (z, y * s.grid[1] // sensor[1], x * s.grid[0] // sensor[0])
        if point[2] >= scale or stopped[p]:
            continue
        if cell not in maps[p]:
            if len(maps[p]) >= s.max_pillars:
                stopped[p] = s.overflow == "stop"
                continue
            maps[p][cell] = []
        if len(maps[p][cell]) < s.max_points:
            maps[p][cell].append(point)
    return maps
