"""Where samples come to rest: which windows are read, in which order, by their draw alone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmanet.data.augmentation_settings import AugmentationSettings
from dmanet.data.samples import WindowRange
from dmanet.data.stops import with_stops
from pipeline.errors import SettingsError
from pipeline.settings import load_settings

ranges = st.builds(
    lambda start, length: WindowRange("a", start, start + length),
    st.integers(0, 50),
    st.integers(1, 60),
)
draws = st.integers(0, 2**63 - 1)
stops = st.builds(
    lambda stop, fewest, more: AugmentationSettings(stop=stop, stop_windows=(fewest, fewest + more)),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.integers(1, 9),
    st.integers(0, 9),
)  # fmt: skip


def window_by_window(pieces):
    """Number and rest of every window that is read, and that no piece at rest has more than one."""
    read = []
    for (recording, start, stop), rest in pieces:
        assert recording == "a"
        assert start < stop
        assert not rest or stop == start + 1
        read += [(window, rest) for window in range(start, stop)]
    return read


@given(ranges, draws, stops)
def test_a_stop_holds_the_window_shown_before_it_and_the_scene_goes_on_behind_it(
    windows, draw, settings
):
    read = window_by_window(with_stops(windows, draw, settings))
    assert len(read) == windows.stop - windows.start
    assert read[0][1] == 0
    for (before, rested), (window, rest) in itertools.pairwise(read):
        if rest:  # the same window once more
            assert (window, rest) == (before, rested + 1)
        else:  # the next one, so that nothing jumps and nothing is shown twice
            assert window == before + 1
    assert windows.start <= read[0][0]
    assert read[-1][0] < windows.stop


@given(ranges, draws, stops)
def test_stops_are_as_long_as_the_settings_say_but_for_one_that_is_cut(windows, draw, settings):
    read = window_by_window(with_stops(windows, draw, settings))
    rests = [rest for _, rest in read]
    lengths = [rest for rest, after in itertools.pairwise([*rests, None]) if rest and after == 0]
    fewest, most = settings.stop_windows
    assert all(fewest <= length <= most for length in lengths)
    assert rests[-1] <= most


@given(ranges, draws, stops)
def test_the_draw_alone_decides(windows, draw, settings):
    assert with_stops(windows, draw, settings) == with_stops(windows, draw, settings)


@given(ranges, draws)
def test_without_stops_the_windows_are_read_as_they_are(windows, draw):
    assert with_stops(windows, draw, AugmentationSettings()) == [(windows, 0)]


def test_stops_are_as_frequent_as_the_settings_say():
    settings = AugmentationSettings(stop=0.1, stop_windows=(3, 5))
    reads = [
        window_by_window(with_stops(WindowRange("a", 0, 400), draw, settings)) for draw in range(50)
    ]
    begun = sum(rest == 1 for read in reads for _, rest in read)
    shown = sum(rest == 0 for read in reads for _, rest in read)
    assert begun / shown == pytest.approx(0.1, rel=0.1)


def test_every_window_is_shown_by_some_draw():
    settings = AugmentationSettings(stop=0.2, stop_windows=(2, 4))
    windows = WindowRange("a", 5, 25)
    shown = {
        window
        for draw in range(200)
        for window, rest in window_by_window(with_stops(windows, draw, settings))
        if not rest
    }
    assert shown == set(range(5, 25))


@pytest.mark.parametrize("windows", [[0, 4], [5, 4], [1, 5000]])
def test_numbers_of_windows_that_are_none_are_one_clear_sentence(windows):
    with pytest.raises(SettingsError, match=r"made up: stop_windows .* within 1…4096"):
        load_settings(AugmentationSettings, {"stop_windows": windows}, "made up")
