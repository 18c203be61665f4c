import pytest

from dmanet.data.fitting import check_fit, recordings_of
from dmanet.settings import ModelSettings
from pipeline.errors import CacheError, UsageError
from tests.dmanet.caches import GRID, LONG, SMALL


def test_a_split_without_windows_names_those_there_are(cache):
    assert [recording.id for recording in recordings_of(cache, "train")] == [LONG, SMALL]
    with pytest.raises(UsageError, match="'val'; it holds test, train"):
        recordings_of(cache, "val")


def test_a_network_that_does_not_fit_the_cache_is_named_by_its_key(cache):
    width, height = GRID
    fitting = ModelSettings(grid_size=(height, width), max_points=3, num_classes=3)
    check_fit(cache, fitting, "the test's")
    for change in (
        {"grid_size": (width, height)},
        {"max_points": 5},
        {"num_classes": 7},
    ):
        (key,) = change
        with pytest.raises(CacheError, match=key):
            check_fit(cache, fitting.model_copy(update=change), "the test's")


def test_a_network_for_some_of_the_caches_classes_fits(cache):
    width, height = GRID
    one = ModelSettings(grid_size=(height, width), max_points=3, num_classes=1)
    check_fit(cache, one, "the test's", ("car",))
    with pytest.raises(CacheError, match="num_classes = 2, the test's has 1"):
        check_fit(cache, one, "the test's", ("car", "traffic sign"))
    with pytest.raises(
        CacheError, match="among pedestrian, car, traffic sign, the test's has truck;"
    ):
        check_fit(cache, one, "the test's", ("car", "truck"))
