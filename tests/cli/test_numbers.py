"""Numbers know their range, and what is none is refused."""

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.numbers import SEED, Real


@pytest.mark.parametrize("text", ["nan", "-nan", "inf", "-inf", "1e999", "²", "one", "", "1,5"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    for kind in (Real(), Real(0), Real(0, 10)):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_within_the_range_is_taken(number: float) -> None:
    assert Real().convert(repr(number), None, None) == number
    if 0 <= number <= 10:
        assert Real(0, 10).convert(repr(number), None, None) == number
    else:
        with pytest.raises(click.BadParameter):
            Real(0, 10).convert(repr(number), None, None)


@pytest.mark.parametrize("text", ["-1", str(1 << 63), "9" * 400, "1.5", "0x10"])
def test_a_seed_fits_where_it_is_kept(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SEED.convert(text, None, None)
