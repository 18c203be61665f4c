"""Named regions are seen by torch.profiler and timed where a timer is in use."""

import threading
import time

import pytest
import torch

from dmanet.regions import RegionTimer, region

CPU = torch.device("cpu")


def wait(name: str, seconds: float) -> None:
    with region(name):
        time.sleep(seconds)


def test_regions_of_a_name_add_up_until_they_are_taken():
    timer = RegionTimer(CPU)
    with timer.installed():
        wait("one", 0.02)
        wait("two", 0.01)
        wait("one", 0.02)
        found = timer.take()
        wait("two", 0.01)
    assert list(found) == ["one", "two"]
    assert 0.04 <= found["one"] < 0.2
    assert 0.01 <= found["two"] < 0.1
    assert list(timer.take()) == ["two"]
    assert timer.take() == {}


def test_a_region_within_another_counts_as_part_of_it():
    timer = RegionTimer(CPU)
    with timer.installed(), region("backward"):
        wait("backbone", 0.01)
    found = timer.take()
    assert list(found) == ["backward"]
    assert found["backward"] >= 0.01


def test_only_the_thread_that_installed_a_timer_is_timed_and_only_while_it_is():
    timer = RegionTimer(CPU)
    with timer.installed():
        thread = threading.Thread(target=wait, args=("elsewhere", 0.0))
        thread.start()
        thread.join()
    wait("later", 0.0)
    assert timer.take() == {}


def test_a_region_that_fails_ends_like_any_other():
    timer = RegionTimer(CPU)
    with timer.installed():
        with pytest.raises(ValueError, match="wrong"), region("one"):
            raise ValueError("wrong")
        wait("two", 0.0)
    assert list(timer.take()) == ["one", "two"]
