"""Continuing a cache: what is complete stays, whether or not its sources are still there."""

import shutil
from pathlib import Path

import pytest

from benchmarks.kill_writer import content
from pipeline.cache.reader import PillarCache
from pipeline.defects import Defect
from pipeline.errors import CacheError
from pipeline.release.shards import shard_path
from tests.pipeline.releases import write_recording
from tests.pipeline.voxelized import FATAL_AND_WINDOWS_LOST, RECORDING, damage, run


@pytest.fixture
def release(tmp_path) -> Path:
    root = tmp_path / "release"
    write_recording(root, RECORDING, shards=(1, 2))
    return root


def test_running_again_changes_nothing_and_adds_what_is_new(release, tmp_path):
    run(release, tmp_path / "c")
    before = content(tmp_path / "c")
    report = run(release, tmp_path / "c")
    assert (report.made, report.already_complete) == ([], [RECORDING])
    assert content(tmp_path / "c") == before
    write_recording(release, "val/valfilelist00/rec_b", shards=(1,))
    assert [r.recording for r in run(release, tmp_path / "c").made] == ["val/valfilelist00/rec_b"]
    assert before.items() <= content(tmp_path / "c").items()


def test_a_recording_made_from_other_files_is_refused(release, tmp_path):
    run(release, tmp_path / "c")
    write_recording(release, RECORDING, shards=(1, 2), events_per_window=301)
    with pytest.raises(CacheError, match="the cache was made from"):
        run(release, tmp_path / "c")


def test_files_that_came_later_are_refused_by_name(release, tmp_path):
    run(release, tmp_path / "c")
    write_recording(release, RECORDING, shards=(3,))
    with pytest.raises(CacheError, match=r"ev003\.npz: is new"):
        run(release, tmp_path / "c")


def test_a_repaired_file_of_the_same_size_is_noticed_where_windows_were_left_out(release, tmp_path):
    events = shard_path(release, RECORDING, 2, "events")
    sound = events.read_bytes()
    damage(release, Defect.BAD_CRC)
    run(release, tmp_path / "c")
    assert run(release, tmp_path / "c").already_complete == [RECORDING]
    events.write_bytes(sound)
    with pytest.raises(CacheError, match="sha256") as caught:
        run(release, tmp_path / "c")
    assert f"delete {tmp_path / 'c' / RECORDING}" in str(caught.value)
    shutil.rmtree(tmp_path / "c" / RECORDING)
    assert run(release, tmp_path / "c").made[0].windows == 20


@pytest.mark.parametrize("defect", [defect for defect, _ in FATAL_AND_WINDOWS_LOST])
def test_continuing_says_again_what_an_earlier_run_left_out(release, tmp_path, defect):
    damage(release, defect)
    first = run(release, tmp_path / "c")
    second = run(release, tmp_path / "c")
    assert second.made == []
    assert second.left_out == first.left_out != []


def test_a_release_downloaded_voxelized_and_deleted_piece_by_piece_gives_the_whole_cache(tmp_path):
    pieces = [f"train/trainfilelist0{k}/rec" for k in range(3)]
    for k, piece in enumerate(pieces):
        write_recording(tmp_path / "whole", piece, seed=k)
    run(tmp_path / "whole", tmp_path / "at_once")
    for k, piece in enumerate(pieces):
        shutil.rmtree(tmp_path / "disk", ignore_errors=True)
        write_recording(tmp_path / "disk", piece, seed=k)
        run(tmp_path / "disk", tmp_path / "piecewise")
    assert content(tmp_path / "piecewise") == content(tmp_path / "at_once")


def test_sources_of_complete_recordings_may_be_gone_or_dangling_links(release, tmp_path):
    run(release, tmp_path / "c")
    for path in release.rglob("*.npz"):
        path.unlink()
        path.symlink_to(tmp_path / "deleted.npz")
    write_recording(release, "val/valfilelist00/rec_b", shards=(1,))
    report = run(release, tmp_path / "c")
    assert report.already_complete == [RECORDING]
    assert [r.recording for r in report.made] == ["val/valfilelist00/rec_b"]


def test_a_file_the_machine_cannot_read_fails_its_recording_and_no_other(release, tmp_path):
    for name in ("rec_b", "rec_c"):
        write_recording(release, f"val/valfilelist00/{name}", shards=(1,))
    events = shard_path(release, RECORDING, 2, "events")
    sound = events.read_bytes()
    events.unlink()
    events.mkdir()
    report = run(release, tmp_path / "c")
    assert len(report.made) == 2
    assert [failed.key for failed in report.failed] == [RECORDING]
    assert f"{events}: is a folder" in str(report.failed[0].error)
    assert report.left_out == []  # no window is lost for good
    assert RECORDING not in PillarCache(tmp_path / "c").recording_ids
    events.rmdir()
    events.write_bytes(sound)
    assert run(release, tmp_path / "c").made[0].windows == 20
