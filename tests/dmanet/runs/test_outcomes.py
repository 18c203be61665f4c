import math
from dataclasses import asdict

from dmanet.runs.outcomes import BadStep, Tally


def test_steps_are_counted_by_kind_and_bad_ones_in_a_row():
    tally = Tally()
    for outcome, loss, clipped in (
        ("made", 2.0, True),
        ("bad loss", math.nan, False),
        ("overflow", 7.0, False),
        ("bad gradient", 9.0, False),
        ("made", 4.0, False),
        ("bad loss", math.inf, False),
    ):
        tally.count(outcome, loss, clipped)
    assert (tally.made, tally.clipped, tally.bad, tally.overflows) == (2, 1, 3, 1)
    assert tally.bad_in_a_row == 1
    assert tally.clip_rate == 0.5
    assert tally.mean_loss == 3.0
    tally.begin_epoch()
    assert math.isnan(tally.mean_loss)
    assert tally.bad == 3
    assert Tally(**asdict(tally)) == tally


def test_an_overflow_does_not_end_a_row_of_bad_steps():
    tally = Tally()
    for outcome in ("bad loss", "overflow", "bad loss"):
        tally.count(outcome, 0.0, clipped=False)
    assert tally.bad_in_a_row == 2


def test_a_bad_step_says_what_was_lost_where_and_on_which_windows():
    windows = ("train/a/b 3…5", "train/a/c 0…2")
    loss = BadStep("bad loss", {"classification": 0.5, "regression": math.nan}, {}, windows)
    assert str(loss) == (
        "the loss is not a number (classification 0.5, regression nan) on the windows "
        "train/a/b 3…5, train/a/c 0…2"
    )
    norms = {"backbone": 2.0, "long_memory": math.inf}
    gradient = BadStep("bad gradient", {"classification": 0.5, "regression": 1.0}, norms, windows)
    assert "the gradient is not a number (long_memory inf) on" in str(gradient)
