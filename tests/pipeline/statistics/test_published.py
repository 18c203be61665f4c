"""Published counts: which rule gives them is told by counting, and only where all are equal."""

from pathlib import Path

import numpy as np

from pipeline.cache.settings import CacheSettings
from pipeline.release.labels import CLASS_NAMES
from pipeline.release.shards import SPLITS, write_shard
from pipeline.selection.scan import scan_release
from pipeline.statistics import published as counting
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.published import EVERY_BOX, KEPT, beside_published, counts_by_rule
from tests.pipeline.caches import make_cache
from tests.pipeline.sound_recordings import boxes, window_events

LARGE, RAW = "60 pixels across and 20 a side, not cropped", "no wider than the sensor"
ROWS = (
    (100, 100, 80, 60, 2),
    (1270, 100, 80, 60, 2),  # 10 pixels are left of it
    (0, 0, 1300, 60, 2),  # wider than the sensor
    (300, 300, 10, 10, 0),  # small
    (-10, 400, 80, 60, 1),
)


def release(root: Path) -> Path:
    for split in SPLITS:
        events = [window_events(10 + k) for k in range(10)]
        labels = [boxes(*ROWS) for _ in events]
        write_shard(root, f"{split}/{split}filelist00/r", 1, events, labels)
    return root


def test_each_rule_keeps_what_it_says():
    labels = boxes(*ROWS)
    columns = np.stack([labels[name].astype(float) for name in (*"xywh", "class_id")], axis=1)
    counts = {rule: row.tolist() for rule, row in counts_by_rule(columns, (1280, 720)).items()}
    assert {rule: row[:3] for rule, row in counts.items()} == {
        RAW: [1, 1, 2],
        "inside the frame": [1, 0, 1],
        LARGE: [0, 1, 3],
        "60 pixels across and 20 a side, inside the frame": [0, 0, 1],
    }


def test_the_rule_that_gives_every_number_is_named(tmp_path, monkeypatch):
    cache = make_cache(release(tmp_path / "release"), tmp_path / "cache")
    three = {"car": 20, "pedestrian": 10, "two wheeler": 10}
    monkeypatch.setattr(counting, "PUBLISHED", dict.fromkeys(SPLITS, three))
    found = collect_statistics(cache).published
    assert found.reproduced_by == (RAW,)
    assert found.difference[RAW] == 0
    assert found.counts[EVERY_BOX]["val"] == {"car": 30, "pedestrian": 10, "two wheeler": 10}
    assert found.difference[EVERY_BOX] == 10 / 40
    assert found.counts[KEPT]["test"] == {"car": 10, "pedestrian": 0, "two wheeler": 10}


def test_a_manifest_tries_the_two_rules_that_it_counts(tmp_path):
    found = collect_statistics(scan_release(release(tmp_path))).published
    assert set(found.counts) == {EVERY_BOX, KEPT}
    assert found.published["train"]["car"] == 800_420
    assert found.reproduced_by == ()
    assert 0.999 < found.difference[EVERY_BOX] < 1


def test_rules_without_the_three_classes_are_not_tried(tmp_path):
    settings = CacheSettings(classes=(2, 5))
    found = collect_statistics(
        make_cache(release(tmp_path / "release"), tmp_path / "cache", settings)
    ).published
    assert KEPT not in found.counts
    assert EVERY_BOX in found.counts


def test_other_data_sets_have_no_published_counts(tmp_path):
    names = ("pedestrian", "vehicle", "micro-mobility")
    settings = CacheSettings(class_names=names, classes=(0, 1, 2))
    cache = make_cache(release(tmp_path / "release"), tmp_path / "cache", settings)
    assert collect_statistics(cache).published is None


def test_one_box_too_few_is_no_reproduction():
    counts = {split: dict(row) for split, row in counting.PUBLISHED.items()}
    every = {split: dict.fromkeys(CLASS_NAMES, 0) | row for split, row in counts.items()}
    assert beside_published({EVERY_BOX: every}).reproduced_by == (EVERY_BOX,)
    every["val"]["car"] -= 1
    found = beside_published({EVERY_BOX: every})
    assert found.reproduced_by == ()
    assert found.difference[EVERY_BOX] > 0
