"""Sentences a reader should see first, each provoked by the statistics that call for it."""

from dataclasses import replace

import pytest

from pipeline.release.shards import write_shard
from pipeline.report.findings import findings
from pipeline.statistics.collect import collect_statistics
from pipeline.statistics.schema import (
    DefectStatistics,
    LabelCheckStatistics,
    OffsetStatistics,
    Statistics,
)
from tests.pipeline.caches import make_cache
from tests.pipeline.sound_recordings import boxes, window_events


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Statistics:
    """Three splits with boxes of every class in each window, and nothing wrong."""
    folder = tmp_path_factory.mktemp("sound")
    labels = [boxes(*((100 * k, 100, 80, 60, k) for k in range(7))) for _ in range(10)]
    for split in ("train", "val", "test"):
        events = [window_events(10 + k) for k in range(10)]
        write_shard(folder / "release", f"{split}/{split}filelist00/{split}", 1, events, labels)
    return collect_statistics(make_cache(folder / "release", folder / "cache"))


def with_split(statistics: Statistics, split: str, **changes) -> Statistics:
    changed = replace(statistics.splits[split], **changes)
    return replace(statistics, splits={**statistics.splits, split: changed})


def with_first_recording(statistics: Statistics, **changes) -> Statistics:
    first, *rest = statistics.recordings
    return replace(statistics, recordings=(replace(first, **changes), *rest))


def only(statistics: Statistics) -> str:
    (sentence,) = findings(statistics)
    return sentence.replace("\u202f", " ")


def test_sound_data_has_no_findings(sound):
    assert findings(sound) == []


def test_an_empty_split_is_named_with_its_consequence(sound):
    assert only(with_split(sound, "val", recordings=0)) == (
        "Split val holds no recording: nothing to choose a checkpoint by."
    )


@pytest.mark.parametrize(
    ("absent", "end"),
    [
        (["bus"], "keeps no box of bus, which has no average precision."),
        (["truck", "bus"], "keeps no box of truck and bus, which have no average precision."),
    ],
)
def test_classes_without_a_box_are_named(sound, absent, end):
    kept = {name: 0 if name in absent else n for name, n in sound.splits["test"].kept.items()}
    assert only(with_split(sound, "test", kept=kept)) == f"Split test {end}"


def test_no_boxes_at_all_is_one_sentence(sound):
    none = dict.fromkeys(sound.classes, 0)
    for split in ("train", "val", "test"):
        sound = with_split(sound, split, kept=none)
    assert only(sound).startswith("No box is kept in any split")


def test_windows_left_out_are_told_with_their_main_cause(sound):
    lossy = with_first_recording(sound, left_out=10)
    lossy = replace(lossy, defects={"bad-crc": DefectStatistics(10, 1, 10)})
    assert only(lossy) == (
        "10 windows (25.0 %) could not be used and are left out, 10 of them for bad-crc."
    )


def test_repeated_windows_are_told(sound):
    assert only(with_first_recording(sound, repeated=1)) == (
        "1 window (3.3 %) could not be used and holds the events of the window before."
    )


def test_a_recording_in_two_splits_is_told(sound):
    assert "more than one split" in only(with_first_recording(sound, id="train/list/test"))


def test_sensors_of_different_sizes_are_told(sound):
    assert "1 of 640 × 480" in only(with_first_recording(sound, sensor=(640, 480)))


def test_mostly_unlabelled_windows_are_told(sound):
    assert only(with_split(sound, "train", labelled_windows=4)) == (
        "60.0 % of the windows of train hold no kept box."
    )


def test_a_polarity_without_pillars_is_told(sound):
    pillars = replace(sound.pillars, empty_windows={"negative": 0, "positive": 2})
    assert only(replace(sound, pillars=pillars)) == "2 windows have no positive pillar."


def test_gaps_that_leave_few_clips_are_told(sound):
    sequences = replace(sound.sequences, clips={"train": 0, "val": 1, "test": 1}, backwards=1)
    first, second = findings(replace(sound, sequences=sequences))
    assert first.replace("\u202f", " ") == (
        "Gaps cut train so that runs of 10 windows cover 0 % of it."
    )
    assert second == "The clock jumps back 1 time inside a recording."


def test_a_choice_of_classes_is_told(sound):
    chosen = replace(sound, classes=sound.classes[1:])
    for split, row in sound.splits.items():
        kept = {name: n for name, n in row.kept.items() if name != "pedestrian"}
        chosen = with_split(chosen, split, kept=kept)
    assert only(chosen) == "This cache leaves out pedestrian by choice."


def test_boxes_that_are_late_for_certain_are_told(sound):
    def with_offsets(*offsets):
        named = {f"train/list/{k}": offset for k, offset in enumerate(offsets)}
        return replace(sound, label_checks=LabelCheckStatistics(len(named), {}, {}, named))

    unsure = OffsetStatistics(1, 0, 1, 500), OffsetStatistics(None, -5, 5, 20)
    assert findings(with_offsets(*unsure)) == findings(sound) == []
    assert only(with_offsets(*unsure, OffsetStatistics(-2, -3, -2, 500))) == (
        "Boxes of 1 recording (such as train/list/2) are late or early against the events by "
        "2 windows or so: a network learns to look in the wrong place."
    )
