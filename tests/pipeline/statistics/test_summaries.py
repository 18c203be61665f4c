import bisect
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics.summaries import (
    COUNT_EDGES,
    SHARE_EDGES,
    histogram,
    hours,
    quantiles,
    tidy,
)


def slow_percentile(values: list[int], percent: int) -> Fraction:
    """Linear interpolation between the two nearest ranks, exactly."""
    ranked = sorted(values)
    place = Fraction(percent, 100) * (len(ranked) - 1)
    low = int(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (place - low) * (ranked[high] - ranked[low])


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=40))
def test_quantiles_interpolate_between_ranks(values):
    found = quantiles(np.array(values))
    assert found.count == len(values)
    assert found.mean == pytest.approx(sum(values) / len(values))
    expected = [float(slow_percentile(values, p)) for p in (0, 5, 25, 50, 75, 95, 100)]
    got = [found.minimum, found.p05, found.p25, found.median, found.p75, found.p95, found.maximum]
    assert got == pytest.approx(expected, rel=1e-8)


def test_no_values_have_no_quantiles():
    assert quantiles(np.empty(0)) is None


@given(
    st.lists(st.integers(0, 10**9), max_size=40),
    st.lists(st.integers(0, 10**9), max_size=40),
)
def test_histogram_counts_each_value_in_its_bin(first, second):
    found = histogram({"a": [np.array(first)], "b": [np.array(second)]}, ("a", "b"), COUNT_EDGES)
    edges = list(COUNT_EDGES)
    for name, values in (("a", first), ("b", second)):
        expected: dict[float, int] = {}
        for value in values:
            place = min(bisect.bisect_right(edges, value) - 1, len(edges) - 2)
            edge = tidy(edges[place])
            expected[edge] = expected.get(edge, 0) + 1
        got = zip(found.edges, found.counts[name], strict=False)
        assert {edge: n for edge, n in got if n} == expected


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_histogram_keeps_no_empty_bin_at_its_ends(values):
    found = histogram({"a": [np.array(values)]}, ("a",), COUNT_EDGES)
    assert len(found.edges) == len(found.counts["a"]) + 1
    assert found.counts["a"][0] > 0
    assert found.counts["a"][-1] > 0


def test_histogram_of_nothing_has_no_bins():
    found = histogram({}, ("a", "b"), SHARE_EDGES)
    assert found.edges == ()
    assert found.counts == {"a": (), "b": ()}


def test_values_at_the_outer_edges_count_in_the_outer_bins():
    found = histogram({"a": [np.array([0.0, 1.0])]}, ("a",), SHARE_EDGES)
    assert found.counts["a"][0] == 1
    assert found.counts["a"][-1] == 1
    assert sum(found.counts["a"]) == 2


def test_seventy_two_thousand_windows_are_an_hour():
    assert hours(72_000) == 1.0
