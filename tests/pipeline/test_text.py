import os

import pytest

from pipeline.text import (
    counted,
    duration,
    grouped,
    is_unicode,
    listed,
    printable,
    share,
    short,
    size,
)


def plain(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (999, "999"), (1000, "1 k"), (1234, "1.23 k"), (12_345, "12.3 k"),
     (999_400, "999 k"), (999_900, "1 M"), (2_500_000_000, "2.50 G"),
     (9.5, "9.50"), (0.25, "0.250"), (0.00123, "0.00123"), (None, "–")],
)  # fmt: skip
def test_short_form_has_up_to_three_digits(value, text):
    assert plain(short(value)) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0 %"), (5, 5, "100 %"), (1, 3, "33.3 %"), (1, 10_000, "< 0.1 %"),
     (999, 1000, "99.90 %"), (1, 0, "–")],
)  # fmt: skip
def test_share_never_rounds_something_to_nothing_or_almost_all_to_all(part, whole, text):
    assert plain(share(part, whole)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.50 kB"), (9_100_000, "9.10 MB"),
     (268_000_000_000, "268 GB"), (3_000_000_000_000, "3 TB"), (None, "–")],
)  # fmt: skip
def test_size_is_decimal(count, text):
    assert plain(size(count)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.5, "0.5 s"), (36, "36 s"), (90, "2 min"), (4500, "1 h 15 min"), (7200, "2 h")],
)
def test_duration_takes_the_largest_fitting_unit(seconds, text):
    assert plain(duration(seconds)) == text


def test_digits_are_grouped_and_nouns_agree():
    assert plain(grouped(1_234_567)) == "1 234 567"
    assert grouped(None) == "–"
    assert counted(1, "window") == "1 window"
    assert counted(2, "box", "boxes") == "2 boxes"


def test_lists_read_as_prose():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_a_name_whose_bytes_are_no_text_can_be_shown():
    name = os.fsdecode(b"a\xff\xc3\xa9")
    assert not is_unicode(name)
    assert printable(name) == "a\\udcffé"
    assert is_unicode("é\n")
    assert printable("é\n") == "é\n"
