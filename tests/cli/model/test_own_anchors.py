"""`dmanet-data anchors` beside `dmanet train`: odd boxes, settings from them, a run with them."""

from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner

from cli.data import main as data
from dmanet.detection.anchor_settings import AnchorSettings
from dmanet.detection.anchors import anchors_for
from dmanet.detection.matching import match_anchors
from dmanet.recipes import resolve_settings
from pipeline.cache.reader import PillarCache
from pipeline.cache.settings import CacheSettings
from pipeline.release.shards import write_shard
from tests.cli.model.commands import QUICK, run
from tests.dmanet.caches import CLASSES, GRID
from tests.pipeline.caches import make_cache
from tests.pipeline.sound_recordings import boxes, window_events


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> PillarCache:
    """A cache of long low boxes and thin tall ones, on the grid of the small network."""
    folder = tmp_path_factory.mktemp("odd")
    labels = [
        boxes((40 + 90 * k, 300, 500, 45, 2), (30 + 110 * k, 60, 40, 400, 0)) for k in range(10)
    ]
    for shard in (1, 2):
        events = [window_events(10 * shard + k) for k in range(10)]
        write_shard(folder / "release", "train/trainfilelist00/r", shard, events, labels)
    settings = CacheSettings(grid=GRID, max_points=3, classes=CLASSES)
    return make_cache(folder / "release", folder / "cache", settings)


def unmatched(cache: PillarCache, anchors: AnchorSettings) -> float:
    """Share of boxes that training's own matching gives no anchor, one box at a time."""
    (recording,) = cache.recordings()
    every = anchors_for(GRID[::-1], anchors)
    found = recording.read(0, len(recording)).boxes
    alone = torch.zeros(1, dtype=torch.int64)
    lost = [(match_anchors(every, torch.tensor(box)[None], alone, 1) < 0).all() for box in found]
    return sum(map(bool, lost)) / len(found)


def test_a_run_takes_the_printed_anchors_and_more_boxes_have_a_positive_one(odd, tmp_path: Path):
    printed = CliRunner().invoke(data, ["anchors", odd.location], catch_exceptions=False)
    assert printed.exit_code == 0, printed.output
    config = tmp_path / "anchors.yaml"
    config.write_text(printed.stdout)
    suggested = resolve_settings("tiny", config).model.anchors
    before, after = unmatched(odd, AnchorSettings()), unmatched(odd, suggested)
    assert before > 0.8
    assert after < before / 4
    # The comment tells the same shares.
    (line,) = [row for row in printed.stdout.splitlines() if row.startswith("#   all")]
    told = [float(word) for word in line.split() if word.replace(".", "").isdigit()]
    assert told[:2] == pytest.approx([100 * before, 100 * after], abs=0.06)

    run_dir = tmp_path / "run"
    result = run("train", odd.location, "--run-dir", run_dir, *QUICK, "--config", config)
    assert result.exit_code == 0, result.output
    settings = yaml.safe_load((run_dir / "settings.yaml").read_text())
    assert AnchorSettings(**settings["model"]["anchors"]) == suggested


def test_the_settings_go_to_a_file_too_and_are_the_same_each_time(odd, tmp_path: Path):
    texts = []
    for name in ("a.yaml", "b.yaml"):
        arguments = ["anchors", odd.location, "-o", str(tmp_path / name)]
        result = CliRunner().invoke(data, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert f"dmanet train --config {tmp_path / name}" in result.stdout
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]


def test_a_cache_without_boxes_keeps_the_release_anchors(odd, tmp_path: Path):
    release = Path(odd.location).parent / "release"
    cache = make_cache(release, tmp_path / "cache", CacheSettings(grid=GRID, classes=(4,)))
    printed = CliRunner().invoke(data, ["anchors", cache.location], catch_exceptions=False)
    assert printed.exit_code == 0, printed.output
    kept = yaml.safe_load(printed.stdout)["model"]["anchors"]
    assert AnchorSettings(**kept) == AnchorSettings()
