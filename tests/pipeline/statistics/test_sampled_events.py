"""What presets drop, counted by the packing itself and event by event in plain Python."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pillars.settings import PillarSettings
from pipeline.release.shards import EVENT_DTYPE, write_shard
from pipeline.selection.scan import scan_release
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.sampled_events import SAMPLE_WINDOWS, Workspaces, losses_of_window
from tests.pipeline.releases import write_recording
from tests.pipeline.sound_recordings import boxes, window_events

SENSOR = (12, 8)
PARTS = ("outside", "repeated", "last_instant", "over_max_points", "over_max_pillars", "encoded")


def event_by_event(events: np.ndarray, rules: PillarSettings) -> Counter:
    """Where each event of a window ends."""
    columns, rows = rules.grid
    inside = [e for e in events if e["x"] < SENSOR[0] and e["y"] < SENSOR[1]]
    ends: Counter = Counter(outside=len(events) - len(inside))
    inside.sort(key=lambda e: int(e["t"]))
    if not inside:
        return ends
    first, last = int(inside[0]["t"]), int(inside[-1]["t"])
    taken: set = set()
    pillars: dict = {0: {}, 1: {}}
    for event in inside:
        x, y, p = int(event["x"]), int(event["y"]), int(event["p"])
        cell = x * columns // SENSOR[0], y * rows // SENSOR[1]
        place = cell if rules.preset == "release" else (x, y)
        if place in taken:
            ends["repeated"] += 1
            continue
        taken.add(place)
        mine = pillars[p]
        most = 1 if rules.preset == "release" else rules.max_points
        if last > first and int(event["t"]) == last:
            ends["last_instant"] += 1
        elif mine.get(cell, 0) >= most:
            ends["over_max_points"] += 1
        elif cell not in mine and len(mine) >= rules.max_pillars:
            ends["over_max_pillars"] += 1
        else:
            mine[cell] = mine.get(cell, 0) + 1
            ends["encoded"] += 1
    ends["capped_windows"] = max(map(len, pillars.values())) >= rules.max_pillars
    return ends


windows = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 13), st.integers(0, 9), st.integers(0, 1)),
    max_size=40,
).map(lambda rows: np.array(rows, EVENT_DTYPE))


@settings(deadline=None)
@given(windows, st.integers(1, 6), st.integers(1, 3))
@pytest.mark.parametrize("preset", ["release", "paper"])
def test_losses_are_those_of_every_single_event(preset, events, max_pillars, max_points):
    rules = PillarSettings(
        preset=preset, grid=(4, 4), max_pillars=max_pillars, max_points=max_points
    )
    found = losses_of_window(events, SENSOR, rules, Workspaces())
    expected = event_by_event(events, rules)
    if preset == "paper":
        # Whether a point is refused by its pillar or for want of one depends on the order of events:
        # the count asks first what would be refused with room for every pillar.
        both = expected["over_max_points"] + expected["over_max_pillars"]
        assert found.over_max_points + found.over_max_pillars == both
    else:
        assert found.over_max_points == 0
        assert found.over_max_pillars == expected["over_max_pillars"]
    for part in ("outside", "repeated", "last_instant", "encoded", "capped_windows"):
        assert getattr(found, part) == expected[part], part
    assert sum(getattr(found, part) for part in PARTS) == len(events)


def test_a_manifest_tells_what_presets_drop_from_a_sample(tmp_path: Path):
    for number in range(5):
        write_recording(tmp_path, f"train/trainfilelist00/r{number}", seed=number)
    found = collect_statistics(scan_release(tmp_path)).presets
    assert found.sampled_windows == SAMPLE_WINDOWS
    assert found.events == SAMPLE_WINDOWS * 300
    assert set(found.presets) == {"release", "paper"}
    for losses in found.presets.values():
        assert sum(getattr(losses, part) for part in PARTS) == found.events
        assert (losses.max_points, losses.max_pillars) == (5, 100_000)
    assert collect_statistics(scan_release(tmp_path, labels_only=True)).presets is None


def test_a_window_that_a_preset_cannot_hold_counts_for_none(tmp_path: Path):
    events = [window_events(10 + k, sensor=(1280, 720)) for k in range(10)]
    events[4]["t"][-1] = events[4]["t"][0] + (1 << 31)  # beyond what exact times of paper hold
    write_shard(tmp_path, "train/trainfilelist00/r", 1, events, [boxes() for _ in events])
    found = collect_statistics(scan_release(tmp_path)).presets
    assert (found.sampled_windows, found.events) == (9, 9 * 40)
