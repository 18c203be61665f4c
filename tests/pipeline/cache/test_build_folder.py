"""A task outlives its run: what it still writes is neither published nor left behind."""

import shutil

import pytest

from pipeline.cache.build_folder import AbandonedError, BuildFolder, discard


def test_a_published_folder_is_at_its_target_and_nothing_is_left(tmp_path):
    folder = BuildFolder(tmp_path)
    (folder.path / "array").write_text("content")
    assert folder.publish(tmp_path / "target")
    folder.remove()
    assert [p.name for p in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target" / "array").read_text() == "content"


def test_an_unpublished_folder_leaves_only_the_run_s_own(tmp_path):
    folder = BuildFolder(tmp_path)
    (folder.path / "array").write_text("content")
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_who_comes_second_does_not_replace_what_is_published(tmp_path):
    first, second = BuildFolder(tmp_path), BuildFolder(tmp_path)
    (first.path / "array").write_text("first")
    (second.path / "array").write_text("second")
    assert first.publish(tmp_path / "target")
    assert not second.publish(tmp_path / "target")
    second.remove()
    assert (tmp_path / "target" / "array").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("clear", [discard, shutil.rmtree])
def test_work_of_an_ended_run_stops_and_cleans_up_even_after_writing_on(tmp_path, clear):
    building = tmp_path / "building"
    scratch = building / "run"
    scratch.mkdir(parents=True)
    folder = BuildFolder(scratch)
    (folder.path / "array").write_text("half")
    folder.check()
    clear(scratch)
    with pytest.raises(AbandonedError, match="has ended"):
        folder.check()
    # As zarr does: a chunk's folders are made when they are not there.
    folder.path.mkdir(parents=True)
    (folder.path / "array").write_text("the other half")
    with pytest.raises(AbandonedError):
        folder.publish(tmp_path / "target")
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_begins_after_its_run_has_ended_makes_nothing(tmp_path):
    with pytest.raises(AbandonedError):
        BuildFolder(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
