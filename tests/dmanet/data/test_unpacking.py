from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.batches import collate
from dmanet.data.unpacking import decode_batch
from pipeline.cache.packed_windows import PackedWindows
from pipeline.pillars.bit_layout import COUNT_BITS
from tests.dmanet.caches import LONG, SMALL
from tests.pipeline.windows import encoding_of


def assert_decodes_as_each_window(samples):
    """The batch's pillars are those of :meth:`PackedWindows.tensors`, window by window, exactly."""
    positive, negative = decode_batch(collate(samples))
    batch = len(samples)
    for polarity, pillars in ((0, negative), (1, positive)):
        total = 0
        for b, sample in enumerate(samples):
            for t in range(len(sample)):
                expected = sample.tensors(t, polarity)
                rows = pillars.coords[:, 0] == t * batch + b
                assert np.array_equal(pillars.points[rows].numpy(), expected.points)
                assert np.array_equal(pillars.num_points[rows].numpy(), expected.num_points)
                assert np.array_equal(pillars.coords[rows, 1:].numpy(), expected.coords)
                total += len(expected.points)
        assert len(pillars.points) == total
        assert pillars.points.dtype == torch.float32
        assert pillars.num_points.dtype == pillars.coords.dtype == torch.int64


@pytest.mark.parametrize("preset", ["release", "paper"])
def test_decodes_windows_of_two_sensors_exactly(cache, paper_cache, preset):
    chosen = {"release": cache, "paper": paper_cache}[preset]
    long, small = chosen.recording(LONG), chosen.recording(SMALL)
    # With an empty window, one of a single polarity and one of a single timestamp.
    assert_decodes_as_each_window([long.read(10, 20), small.read(0, 10), long.read(20, 30)])


def test_decodes_a_batch_without_any_pillar(cache):
    empty = cache.recording(LONG).read(13, 14)
    positive, negative = decode_batch(collate([empty]))
    assert positive.points.shape == negative.points.shape == (0, 3, 3)
    assert positive.coords.shape == (0, 4)


def test_points_whose_bits_lead_off_the_sensor_stay_within_the_tables(paper_cache):
    windows = paper_cache.recording(LONG).read(10, 20)
    all_bits = np.full_like(windows.points, np.iinfo(windows.points.dtype).max)
    positive, negative = decode_batch(collate([replace(windows, points=all_bits)]))
    assert len(positive.points) + len(negative.points) == len(windows.pillars)


@st.composite
def packed_windows(draw, preset, time_steps=0):
    """Windows as integers that no kernel had to make: also the largest the format can hold."""
    sensor = draw(st.sampled_from([(1280, 720), (640, 480), (304, 240), (16384, 16384)]))
    grid = sensor if sensor[0] > 1280 else (128, 64)
    encoding = encoding_of(preset, sensor, grid=grid, max_points=4, time_steps=time_steps)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits_x, bits_y = encoding.sub_bits
    longest = (1 << (32 - bits_x - bits_y)) - 1
    span = draw(st.sampled_from([0, 1, 49_999, longest]))
    pillars, points, offsets = [], [], [(0, 0)]
    for _ in range(2):
        count = draw(st.integers(0, 20))
        cells = np.sort(rng.choice(encoding.settings.cells, count, replace=False))
        used = rng.integers(1, 5, count)
        pillars.append((np.diff(cells, prepend=0) << COUNT_BITS | used).astype(np.uint32))
        if preset == "release":
            values = rng.integers(0, 4, used.sum())
        else:
            columns, rows = np.unique(cells % grid[0]), np.unique(cells // grid[0])
            sub_x = rng.integers(0, np.bincount(encoding.column_of_pixel)[columns].min(initial=9))
            sub_y = rng.integers(0, np.bincount(encoding.row_of_pixel)[rows].min(initial=9))
            dt = rng.integers(0, time_steps or span + 1, used.sum())
            values = dt << (bits_x + bits_y) | sub_y << bits_x | sub_x
        points.append(values.astype(encoding.point_dtype))
        offsets.append((offsets[-1][0] + count, offsets[-1][1] + int(used.sum())))
    nothing = np.zeros(0, np.int64)
    return PackedWindows(
        recording="made up",
        first=0,
        encoding=encoding,
        pillars=np.concatenate(pillars),
        points=np.concatenate(points),
        offsets=np.array(offsets),
        spans=np.array([span]),
        t_start=np.zeros(1, np.int64),
        starts=np.ones(1, bool),
        boxes=np.zeros((0, 4), np.float32),
        classes=nothing,
        box_window=nothing,
        tracks=nothing,
    )


@pytest.mark.parametrize(
    ("preset", "time_steps"), [("release", 0), ("paper", 0), ("paper", 256), ("paper", 4096)]
)
@given(data=st.data())
def test_decodes_any_packed_integers_exactly(preset, time_steps, data):
    sample = data.draw(packed_windows(preset, time_steps))
    assert_decodes_as_each_window([sample])
