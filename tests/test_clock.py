"""Nothing depends on the time of day: clocks are set, and jump."""

import re
import time
from itertools import count
from pathlib import Path

import pytest

from cli.data import main
from tests.fuzz.fixtures import BOXES, make_fixtures
from tests.fuzz.shard_kinds import _digest

ROOT = Path(__file__).parents[1]
_TIME_OF_DAY = re.compile(r"time\.time\(|time_ns\(|datetime\.(now|today|utcnow)|date\.today")


def test_the_time_of_day_is_asked_for_only_where_a_jump_does_no_harm() -> None:
    """By TensorBoard's files, a run's sessions, and a scan's record, which reads a file once more."""
    asking = [
        str(path.relative_to(ROOT))
        for package in ("pipeline", "dmanet", "cli")
        for path in (ROOT / package).rglob("*.py")
        if _TIME_OF_DAY.search(path.read_text())
    ]
    assert sorted(asking) == [
        "dmanet/runs/curves.py",
        "dmanet/runs/sessions.py",
        "pipeline/selection/scan_record.py",
    ]


def test_a_clock_that_jumps_to_and_fro_changes_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_fixtures(tmp_path, with_network=False)
    turns = count()
    monkeypatch.setattr(time, "time", lambda: 1e9 * (-1) ** next(turns) + next(turns))
    words = [
        "voxelize",
        str(tmp_path / "release"),
        str(tmp_path / "again"),
        "--grid",
        "32x32",
        *BOXES,
    ]
    main(words, "dmanet-data", standalone_mode=False)
    recordings = sorted(path.parent for path in (tmp_path / "cache").glob("*/*/*/windows"))
    assert len(recordings) == 3
    for recording in recordings:
        key = str(recording.relative_to(tmp_path / "cache"))
        assert _digest(tmp_path / "again", key) == _digest(tmp_path / "cache", key)
