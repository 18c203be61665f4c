"""Who may write a cache: one run or several parts, and what killed ones leave."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.lock import BusyError, Part, open_for_writing
from pipeline.cache.records import BUILDING
from pipeline.cache.settings import CacheSettings
from pipeline.cache.writer import root_attributes
from pipeline.errors import CacheError, UsageError

SETTINGS = CacheSettings(grid=(64, 64))


@given(st.lists(st.integers()), st.integers(1, 9))
def test_the_parts_share_a_list_so_that_each_item_is_in_one(items, count):
    shares = [Part(number, count).share(items) for number in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "-1/2", "a/b", "1/2/3", ""])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="3/8"):
        Part.parse(text)


def test_parts_share_a_cache_and_leave_nothing_but_it(tmp_path):
    cache = tmp_path / "c"
    with (
        open_for_writing(cache, SETTINGS, Part(1, 2)) as one,
        open_for_writing(cache, SETTINGS, Part(2, 2)) as two,
    ):
        assert one != two
        assert one.is_dir()
        assert two.is_dir()
    assert [path.name for path in cache.iterdir()] == ["zarr.json"]


@pytest.mark.parametrize(
    ("first", "second", "saying"),
    [
        (None, None, "another process is writing this cache"),
        (None, Part(1, 2), "another process is writing this cache"),
        (Part(1, 2), None, "another process is writing this cache"),
        (Part(2, 2), Part(2, 2), "another process writes part 2/2"),
    ],
)
def test_what_would_collide_is_refused_and_disturbs_nothing(
    tmp_path, monkeypatch, first, second, saying
):
    monkeypatch.setattr("pipeline.cache.lock._PATIENCE", 0.1)
    cache = tmp_path / "c"
    with open_for_writing(cache, SETTINGS, first) as scratch:
        (scratch / "work").mkdir()
        with pytest.raises(BusyError, match=saying), open_for_writing(cache, SETTINGS, second):
            pass
        assert (scratch / "work").is_dir()
    assert [path.name for path in cache.iterdir()] == ["zarr.json"]
    with open_for_writing(cache, SETTINGS, second):
        pass


@pytest.mark.parametrize("part", [None, Part(1, 3)])
def test_what_a_killed_run_left_is_gone_after_the_next_one(tmp_path, part):
    cache = tmp_path / "c"
    with open_for_writing(cache, SETTINGS):
        pass
    left = cache / BUILDING / "0123456789abcdef" / "recording" / "pillars"
    left.mkdir(parents=True)
    (left / "zarr.json").write_text("{}")
    (cache / BUILDING / "lock").touch()
    (cache / BUILDING / "part-2-of-3").touch()
    with open_for_writing(cache, SETTINGS, part):
        pass
    assert [path.name for path in cache.iterdir()] == ["zarr.json"]


def _come_and_go(cache: Path, number: int, count: int) -> None:
    for _ in range(20):
        with open_for_writing(cache, SETTINGS, Part(number, count)) as scratch:
            (scratch / "work").touch()


def test_parts_that_come_and_go_at_once_never_meet_a_cache_without_settings(tmp_path):
    cache = tmp_path / "c"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    parts = [context.Process(target=_come_and_go, args=(cache, k, 4)) for k in range(1, 5)]
    for process in parts:
        process.start()
    for process in parts:
        process.join()
    assert [process.exitcode for process in parts] == [0] * 4
    assert [path.name for path in cache.iterdir()] == ["zarr.json"]


def test_parts_of_other_settings_are_refused(tmp_path):
    cache = tmp_path / "c"
    with (
        open_for_writing(cache, SETTINGS, Part(1, 2)),
        pytest.raises(CacheError, match="grid"),
        open_for_writing(cache, CacheSettings(), Part(2, 2)),
    ):
        pass
    assert root_attributes(cache)["settings"]["grid"] == [64, 64]


def test_a_file_is_no_place_for_a_cache(tmp_path):
    file = tmp_path / "file"
    file.write_text("dear reader")
    with pytest.raises(UsageError, match="is a file"), open_for_writing(file, SETTINGS):
        pass
    assert file.read_text() == "dear reader"
