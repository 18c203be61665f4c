import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.fitting import check_fit, class_outputs, recordings_of, select_classes
from dmanet.detection.losses import Targets
from dmanet.settings import ModelSettings
from pipeline.errors import CacheError, UsageError
from tests.dmanet.caches import GRID, LONG, SMALL


@given(st.permutations(range(7)), st.permutations(range(7)), st.integers(1, 7), st.integers(1, 7))
def test_a_class_goes_to_the_output_that_bears_its_number(first, second, cached, wanted):
    cached, wanted = tuple(first[:cached]), tuple(second[:wanted])
    targets = Targets(
        boxes=torch.arange(4.0 * len(cached)).view(-1, 4),
        classes=torch.arange(len(cached)),
        frame=torch.arange(len(cached)),
    )
    chosen = select_classes(targets, class_outputs(cached, wanted))
    assert [wanted[c] for c in chosen.classes] == [c for c in cached if c in wanted]
    assert [cached[frame] for frame in chosen.frame] == [c for c in cached if c in wanted]


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
    check_fit(cache, one, "the test's", (2,))
    with pytest.raises(CacheError, match="num_classes = 2, the test's has 1"):
        check_fit(cache, one, "the test's", (2, 5))
    with pytest.raises(CacheError, match=r"among \(0, 2, 5\), the test's has \(2, 3\)"):
        check_fit(cache, one, "the test's", (2, 3))
