from benchmarks.many_recordings import many_recordings
from benchmarks.scan import floor, label_release, places_of
from pipeline.cache.reader import PillarCache
from pipeline.selection.scan import scan_release


def test_the_many_recordings_are_sound(tmp_path):
    cache = PillarCache(many_recordings(tmp_path, 6))
    recordings = cache.recordings()
    assert [recording.split for recording in recordings] == ["train"] * 4 + ["val", "test"]
    for recording in recordings:
        recording.check_tables()
        assert len(recording) == 320


def test_the_label_shards_are_sound_and_the_floor_inflates_them(tmp_path):
    root = label_release(tmp_path, 2)
    totals = scan_release(root, labels_only=True).totals
    assert (totals.shards, totals.windows, totals.defects) == (64, 640, {})
    places = places_of(root, ("labels",))
    assert [len(members) for _, members in places] == [10] * 64
    floor(places)
