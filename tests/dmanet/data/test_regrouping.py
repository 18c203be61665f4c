"""Transformed pillars against the pillars of transformed events, and against plain loops."""

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from math import floor

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dmanet.data.augmentation import AugmentationSettings, augment
from dmanet.data.batches import collate
from dmanet.data.frame_transforms import ONE, draw_transforms
from dmanet.data.unpacking import decode_batch
from pipeline.cache.packed_windows import PackedWindows
from pipeline.pillars.packing import Workspace, pack_window
from pipeline.release.shards import EVENT_DTYPE
from tests.dmanet.caches import LONG, SMALL
from tests.pipeline.windows import encoding_of, events, random_windows

DRAWS = st.integers(0, 2**63 - 1)
EVERYTHING = AugmentationSettings(flip=0.5, swap_polarity=0.5, zoom=(0.4, 2.0), shift=0.2)
FLIP = AugmentationSettings(flip=1)
SWAP = AugmentationSettings(swap_polarity=1)
GRID = (8, 6)
WHOLE = (16, 12)  # sensors of whole pixels a cell, and of others
ODD = (20, 13)


def packed(window, s):
    """A recording of the one window."""
    pack = pack_window(window, Workspace(s))
    counts = [(len(pack.pillars[p]), len(pack.points[p])) for p in (0, 1)]
    nothing = np.zeros(0, np.int64)
    return PackedWindows(
        recording="one",
        first=0,
        encoding=s,
        pillars=np.concatenate(pack.pillars),
        points=np.concatenate(pack.points),
        offsets=np.cumsum([(0, 0), *counts], axis=0),
        spans=np.array([pack.span]),
        t_start=np.zeros(1, np.int64),
        starts=np.ones(1, bool),
        boxes=np.zeros((0, 4), np.float32),
        classes=nothing,
        box_window=nothing,
        tracks=nothing,
    )


def as_map(positive, negative):
    """(polarity, frame, z, y, x) → the points of that pillar; checks what every pillar must be."""
    found = {}
    for polarity, pillars in ((0, negative), (1, positive)):
        assert pillars.points.dtype == torch.float32
        assert pillars.num_points.dtype == pillars.coords.dtype == torch.int64
        for cell, points, count in zip(
            pillars.coords.tolist(), pillars.points, pillars.num_points.tolist(), strict=True
        ):
            assert count >= 1
            assert not points[count:].any()
            assert (polarity, *cell) not in found
            found[polarity, *cell] = [tuple(point) for point in points[:count].tolist()]
    return found


def augmented(batch, augmentation):
    """The batch's pillars, augmented, as a map."""
    grid_size = batch.settings[0].settings.grid[::-1]
    pillars = augment(*decode_batch(batch), batch.targets, batch, augmentation, grid_size)
    return as_map(*pillars[:2])


@lru_cache
def drawn(draw, augmentation):
    """Flip, swap, zoom and shifts that a draw stands for, as plain numbers."""
    t = draw_transforms(
        torch.tensor([draw]),
        augmentation.flip,
        augmentation.swap_polarity,
        augmentation.zoom,
        augmentation.shift,
    )
    shift = [Fraction(by, ONE) for by in t.shift[0].tolist()]
    return bool(t.flip), bool(t.swap), Fraction(int(t.zoom), ONE), shift


def transformed(window, draw, augmentation, sensor):
    """The window's events under the transform of a draw, those out of sight dropped."""
    flip, swap, zoom, shift = drawn(draw, augmentation)
    half = Fraction(1, 2)
    rows = []
    for time, x, y, p in window.tolist():
        place = []
        for axis, pixel in enumerate((x, y)):
            centre = (pixel + half) / sensor[axis]
            if axis == 0 and flip:
                centre = 1 - centre
            place.append(floor((zoom * (centre - half) + half + shift[axis]) * sensor[axis]))
        if 0 <= place[0] < sensor[0] and 0 <= place[1] < sensor[1]:
            rows.append((time, *place, 1 - p if swap else p))
    return np.array(rows, EVENT_DTYPE)


def batch_of(windows, s, draws):
    batch = collate([packed(window, s) for window in windows])
    return replace(batch, draws=torch.tensor(draws))


def inside(window, sensor):
    return window[(window["x"] < sensor[0]) & (window["y"] < sensor[1])]


@pytest.mark.parametrize("augmentation", [FLIP, SWAP], ids=["flip", "swap"])
@pytest.mark.parametrize("preset", ["release", "paper"])
@settings(max_examples=40)
@given(
    window=random_windows(WHOLE),
    time_cells=st.sampled_from([1, 4]),
    max_points=st.integers(1, 4),
    max_pillars=st.sampled_from([3, 1000]),
    dedup=st.sampled_from(["pixel", "none"]),
    overflow=st.sampled_from(["skip", "stop"]),
    draw=DRAWS,
)
def test_flip_and_swap_equal_encoding_the_transformed_events_always(
    preset, augmentation, window, time_cells, max_points, max_pillars, dedup, overflow, draw
):
    """Whatever overflows, whatever times are equal: on a grid of whole pixels a cell."""
    s = encoding_of(
        preset,
        WHOLE,
        grid=GRID,
        time_cells=time_cells,
        max_points=max_points,
        max_pillars=max_pillars,
        dedup=dedup,
        overflow=overflow,
    )
    window = inside(window, WHOLE)
    mirrored = batch_of([transformed(window, draw, augmentation, WHOLE)], s, [draw])
    found = augmented(batch_of([window], s, [draw]), augmentation)
    assert found == as_map(*decode_batch(mirrored))


@st.composite
def windows_in_sight(draw, augmentation, sensor, steps, scale):
    """A draw, and events at different times of which the first and the last stay in sight.

    So the transformed events have the time scale of the window. Times are multiples of ``scale`` µs,
    the last one ``steps`` of them.
    """
    seed = draw(DRAWS)
    # Transforms do not say where an event came from: its time does.
    places = [(x, y) for x in range(sensor[0]) for y in range(sensor[1])]
    everywhere = events([(number, *place, 0) for number, place in enumerate(places)])
    stay = [places[e["t"]] for e in transformed(everywhere, seed, augmentation, sensor)]
    assume(stay)
    times = draw(st.lists(st.integers(1, steps - 1), max_size=40, unique=True))
    rows = [draw(st.sampled_from(stay)) for _ in range(2)]
    ends = [
        (0, *rows[0], draw(st.integers(0, 1))),
        (steps * scale, *rows[1], draw(st.integers(0, 1))),
    ]
    between = [
        (
            time * scale,
            draw(st.integers(0, sensor[0] - 1)),
            draw(st.integers(0, sensor[1] - 1)),
            draw(st.integers(0, 1)),
        )
        for time in times
    ]
    return seed, events(sorted(ends + between))


@settings(max_examples=60)
@given(data=st.data())
def test_paper_pillars_equal_encoding_the_transformed_events(data):
    """Where no pillar of the cache was full; pillars may fill up under the transform."""
    augmentation = data.draw(
        st.sampled_from([FLIP, EVERYTHING, AugmentationSettings(zoom=(0.25, 0.5), shift=0.1)])
    )
    sensor = data.draw(st.sampled_from([WHOLE, ODD, (5, 4)]))
    seed, window = data.draw(windows_in_sight(augmentation, sensor, 49_999, 1))
    chosen = {
        "grid": GRID,
        "time_cells": data.draw(st.sampled_from([1, 4])),
        "max_points": data.draw(st.integers(1, 4)),
        "dedup": data.draw(st.sampled_from(["pixel", "none"])),
    }
    s = encoding_of("paper", sensor, **chosen)
    roomy = encoding_of("paper", sensor, **{**chosen, "max_points": 7})
    before = [as_map(*decode_batch(batch_of([window], each, [seed]))) for each in (s, roomy)]
    assume(before[0] == before[1])
    expected = batch_of([transformed(window, seed, augmentation, sensor)], s, [seed])
    found = augmented(batch_of([window], s, [seed]), augmentation)
    assert found == as_map(*decode_batch(expected))


def polarities(window):
    """Of the earliest event at each pixel."""
    earliest = {}
    for _, x, y, p in window.tolist():
        earliest.setdefault((x, y), p)
    return set(earliest.values())


@settings(max_examples=60)
@given(data=st.data())
def test_release_pillars_equal_encoding_the_transformed_events(data):
    """Where a pixel is a cell and a time bin tells all times apart: what that preset keeps."""
    augmentation = data.draw(
        st.sampled_from([EVERYTHING, AugmentationSettings(zoom=(0.25, 0.5), shift=0.1)])
    )
    seed, window = data.draw(windows_in_sight(augmentation, ODD, 254, 7))
    moved = transformed(window, seed, augmentation, ODD)
    changed = {1 - p for p in polarities(window)} if len(polarities(window)) == 1 else {0, 1}
    assume(len(polarities(moved)) == len(changed))  # else one of both would be a copy, or not
    s = encoding_of(
        "release", ODD, grid=ODD, num_bins=255, time_cells=data.draw(st.sampled_from([1, 2]))
    )
    found = augmented(batch_of([window], s, [seed]), augmentation)
    assert found == as_map(*decode_batch(batch_of([moved], s, [seed])))


def slow_regroup(batch, augmentation, before):
    """All frames point by point with dictionaries, whatever is full and whichever times are equal."""
    first = batch.settings[0].settings
    at_pixel = defaultdict(list)
    for (polarity, frame, z, _, _), points in before.items():
        encoding = batch.settings[batch.sensor[frame]]
        size = encoding.sensor if first.preset == "paper" else encoding.settings.grid
        for x, y, t in points:
            pixel = [round(v * n / g) for v, n, g in zip((x, y), size, first.grid, strict=True)]
            event = events([(0, *pixel, polarity)])
            for _, *target, p in transformed(
                event, int(batch.draws[frame]), augmentation, size
            ).tolist():
                at_pixel[frame, *target].append((t, pixel[1], pixel[0], p, z))
    cells = defaultdict(list)
    for (frame, x, y), points in at_pixel.items():
        encoding = batch.settings[batch.sensor[frame]]
        size = encoding.sensor if first.preset == "paper" else encoding.settings.grid
        if first.preset == "release" or first.dedup == "pixel":
            points = [point for point in points if point[:3] == min(points)[:3]]
        cell = y * first.grid[1] // size[1], x * first.grid[0] // size[0]
        place = (
            float(np.float32(v / n * g)) for v, n, g in zip((x, y), size, first.grid, strict=True)
        )
        place = tuple(place)
        for t, source_y, source_x, p, z in points:
            cells[p, frame, z, *cell].append((t, source_y, source_x, (*place, t)))
    return {
        cell: [point for *_, point in sorted(points)[: first.max_points]]
        for cell, points in cells.items()
    }


@pytest.mark.parametrize("augmentation", [FLIP, EVERYTHING], ids=["flip", "all"])
@pytest.mark.parametrize("preset", ["release", "paper"])
def test_batches_of_two_sensors_equal_plain_loops(cache, paper_cache, preset, augmentation):
    """With an empty window, one of a single polarity and one of a single timestamp."""
    chosen = {"release": cache, "paper": paper_cache}[preset]
    long, small = chosen.recording(LONG), chosen.recording(SMALL)
    batch = collate([long.read(12, 16), small.read(0, 4), long.read(20, 24)])
    batch = replace(batch, draws=torch.tensor([3, 5, 8]).repeat(4))
    expected = slow_regroup(batch, augmentation, as_map(*decode_batch(batch)))
    assert augmented(batch, augmentation) == expected


@pytest.mark.parametrize("preset", ["release", "paper"])
@settings(max_examples=30)
@given(
    frames=st.lists(st.tuples(random_windows(ODD), DRAWS), min_size=1, max_size=3),
    max_points=st.integers(1, 3),
)
def test_any_windows_equal_plain_loops(preset, frames, max_points):
    s = encoding_of(preset, ODD, grid=GRID, max_points=max_points)
    windows, draws = zip(*frames, strict=True)
    batch = batch_of(windows, s, draws)
    expected = slow_regroup(batch, EVERYTHING, as_map(*decode_batch(batch)))
    assert augmented(batch, EVERYTHING) == expected


def test_pillars_are_sorted_by_frame_and_cell_and_their_points_by_time(paper_cache):
    batch = collate([paper_cache.recording(LONG).read(0, 10)])
    batch = replace(batch, draws=torch.arange(10))
    both = augment(*decode_batch(batch), batch.targets, batch, EVERYTHING, (64, 96))[:2]
    for pillars in both:
        assert len(pillars.coords) > 100
        assert pillars.coords.tolist() == sorted(pillars.coords.tolist())
        for points, count in zip(pillars.points, pillars.num_points, strict=True):
            assert points[:count, 2].tolist() == sorted(points[:count, 2].tolist())


def test_a_polarity_copied_for_one_without_events_stays_a_copy(cache):
    """Window 14 has positive events only; preset `release` gives both polarities the same pillars."""
    batch = collate([cache.recording(LONG).read(14, 15)])
    batch = replace(batch, draws=torch.tensor([11]))
    found = augmented(batch, EVERYTHING)
    assert len(found) > 100
    assert all((1 - polarity, *cell) in found for polarity, *cell in found)
