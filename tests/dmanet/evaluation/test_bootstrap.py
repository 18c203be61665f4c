"""Draws of recordings, and what the details of a result are made of."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter

from dmanet.evaluation.bootstrap import drawn_weights, interval_of
from dmanet.evaluation.details import Resampling
from dmanet.evaluation.examination import Examination
from dmanet.evaluation.protocols import PROTOCOLS, ProtocolResult
from dmanet.evaluation.scoring import GridWindows, SensorWindows, score_grid, score_sensor
from tests.dmanet.evaluation.box_scenes import FIRST_US, NAMES, grid, scenes

BOTH = pytest.mark.parametrize("protocol", ["prophesee", "release"])


def result_of(recordings, protocol, examination=None):
    times = FIRST_US + 50_000 * np.arange(len(recordings[0].found))
    if PROTOCOLS[protocol].average_precision == "coco":
        windows = [SensorWindows(s.name, times, s.found, s.true) for s in recordings]
        return score_sensor(windows, NAMES, PROTOCOLS[protocol], examination)
    grids = [GridWindows(s.name, times, (1.0, 1.0), *grid(s)) for s in recordings]
    return score_grid(grids, NAMES, PROTOCOLS[protocol], examination)


def numbers(result):
    found = {f"summary.{name}": value for name, value in result.summary.items()}
    for row in result.rows:
        for what in ("precision", "recall", "map50", "map50_95"):
            found[f"{row.name}.{what}"] = getattr(row, what)
    return found


def test_draws_are_of_as_many_recordings_and_go_by_the_seed():
    weights = drawn_weights(7, Resampling(500, seed=3))
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(7), abs=0.15)
    np.testing.assert_array_equal(weights, drawn_weights(7, Resampling(500, seed=3)))
    assert (weights != drawn_weights(7, Resampling(500, seed=4))).any()


@BOTH
def test_every_draw_and_interval_is_that_of_scoring_from_scratch(protocol):
    recordings = scenes(5, recordings=6)
    resampling = Resampling(25, seed=1)
    details = result_of(recordings, protocol, Examination(resampling)).details
    slow = [
        numbers(result_of([recordings[r] for r in np.repeat(np.arange(6), row)], protocol))
        for row in drawn_weights(6, resampling)
    ]
    for key in numbers(result_of(recordings, protocol)):
        if key not in details.intervals.draws:
            assert all(values[key] is None for values in slow)
            continue
        drawn = [values[key] for values in slow]
        assert details.intervals.draws[key] == tuple(
            v and pytest.approx(v, abs=1e-6) for v in drawn
        )
        there = [value for value in drawn if value is not None]
        if there:
            interval = details.intervals.of[key]
            expected = np.percentile(there, [2.5, 97.5])
            assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-9)


@BOTH
def test_a_recordings_row_is_its_score_alone(protocol):
    recordings = scenes(2, recordings=5)
    details = result_of(recordings, protocol, Examination(Resampling(0))).details
    assert details.intervals is None
    for scene, row in zip(recordings, details.recordings, strict=True):
        alone = result_of([scene], protocol).rows[0]
        assert (row.name, row.windows, row.labels) == (scene.name, alone.windows, alone.labels)
        for what in ("precision", "recall", "map50", "map50_95"):
            value = getattr(alone, what)
            assert getattr(row, what) == (value and pytest.approx(value, abs=1e-9))


def test_sizes_are_those_of_coco():
    result = result_of(scenes(8, recordings=6), "prophesee", Examination(Resampling(0)))
    sizes = {size.name: size for size in result.details.sizes}
    for name in ("medium", "large"):
        assert sizes[name].map50_95 == pytest.approx(result.summary[f"AP_{name}"], abs=1e-9)
    assert sizes["medium"].labels + sizes["large"].labels == result.rows[0].labels
    assert sizes["small"].map50_95 is None  # the protocol's filter leaves none


def test_the_width_of_an_interval_shrinks_with_the_recordings():
    def width(count):
        result = result_of(scenes(1, recordings=count), "release", Examination(Resampling(200)))
        interval = result.details.intervals.of["all.map50"]
        assert interval.low <= result.rows[0].map50 <= interval.high
        return interval.high - interval.low

    assert width(40) < 0.7 * width(5)


def test_what_no_draw_has_has_no_interval():
    assert interval_of(np.full(5, np.nan)) is None
    assert interval_of(np.array([np.nan, 0.5])).low == 0.5
    recordings = [
        replace(s, found=[w[:0] for w in s.found], true=[w[:0] for w in s.true]) for s in scenes(0)
    ]
    for protocol in ("prophesee", "release"):
        result = result_of(recordings, protocol, Examination(Resampling(10)))
        assert result.details.intervals.of["all.map50"] is None
        assert result.details.errors["missed"] == 0
        assert result.details.worst == ()


@BOTH
def test_a_result_with_details_goes_through_json_unchanged(protocol):
    result = result_of(scenes(3), protocol, Examination(Resampling(20)))
    text = result.to_json()
    read = TypeAdapter(ProtocolResult).validate_json(json.dumps(json.loads(text)), strict=True)
    assert read == result
    assert max(map(len, text.splitlines())) > 100  # a list of draws is one line
    assert len(text.splitlines()) < 3000
    assert "details" not in json.loads(result_of(scenes(3), protocol).to_json())
