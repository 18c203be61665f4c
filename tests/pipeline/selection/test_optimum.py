import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.selection.drift import class_shares
from pipeline.selection.goal import Goal
from pipeline.selection.optimum import NEAR, Ended, fullest, solve
from pipeline.selection.search import Problem, nearest, take_in_order


def every_choice(problem):
    """All choices within floor and budget, bool ``[S, R]``."""
    masks = np.array(list(itertools.product([False, True], repeat=len(problem.sizes))))
    used = masks @ problem.sizes
    return masks[(used <= problem.budget) & (used >= problem.floor)]


def soon():
    return time.monotonic() + 60


@st.composite
def problems(draw):
    count, classes = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    sizes = rng.integers(1, draw(st.sampled_from([10, 10**9])), count)
    counts = rng.poisson(rng.gamma(0.7, 20, (count, classes))).astype(np.float64)
    budget = max(int(draw(st.floats(0.2, 0.95)) * sizes.sum()), int(sizes.min()))
    floor = int(draw(st.floats(0, 0.9)) * budget)
    return Problem(sizes.astype(np.int64), counts, budget, floor)


@settings(max_examples=60, deadline=None)
@given(problem=problems(), balanced=st.booleans())
def test_no_choice_of_all_is_nearer_than_the_solvers_and_none_passes_its_bound(problem, balanced):
    boxes = problem.counts.sum(axis=0)
    target = None if balanced else np.roll(class_shares(boxes), 1)
    goal = Goal(boxes > 0, target)
    choices = every_choice(problem)
    with_boxes = choices @ problem.counts.sum(axis=1) > 0
    if not with_boxes.any():
        return
    least = goal.distance(choices[with_boxes] @ problem.counts).min()
    worst = [int(np.argmin(problem.sizes))]
    known = worst if problem.used(worst) <= problem.budget else []
    found = solve(problem, goal, known, soon())
    assert found.ended in (Ended.OPTIMAL, Ended.NEAR)
    assert found.bound <= least + 1e-5
    taken = known if found.taken is None else found.taken
    assert problem.floor <= problem.used(taken) <= problem.budget
    reached = goal.distance(problem.chosen_counts(taken))
    assert reached <= least + (NEAR if found.ended is Ended.NEAR else 1e-5)


@settings(max_examples=40, deadline=None)
@given(problem=problems())
def test_the_fullest_choice_is_the_fullest_of_all(problem):
    taken = fullest(problem, soon())
    used = (every_choice(Problem(problem.sizes, problem.counts, problem.budget))) @ problem.sizes
    if taken is None:
        assert not ((used >= problem.floor) & (used <= problem.budget)).any()
        return
    assert problem.used(taken) <= problem.budget
    assert problem.used(taken) == pytest.approx(used.max(), rel=1e-5)


def uneven(seed, count):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet([1.25, 0.25, 2.75, 0.2, 0.05, 0.3, 0.2], size=count)
    counts = rng.poisson(shares * rng.lognormal(8, 1, (count, 1))).astype(np.float64)
    sizes = rng.integers(10**8, 10**9, count)
    budget = int(sizes.sum() * 0.2)
    return Problem(sizes, counts, budget, math.ceil(0.98 * budget))


def test_among_many_recordings_the_solver_beats_the_search_and_nears_its_bound():
    problem = uneven(4, 150)
    goal = Goal(np.ones(7, bool))
    rng = np.random.default_rng(0)
    searched = nearest(problem, take_in_order(problem, np.arange(150)), goal, rng)
    found = solve(problem, goal, searched, soon())
    reached = goal.distance(problem.chosen_counts(found.taken))
    assert reached < goal.distance(problem.chosen_counts(searched))
    assert goal.measure(reached) > 0.97 * goal.measure(found.bound)
    again = solve(problem, goal, searched, soon())
    assert again == found


def test_a_solver_without_time_says_so_and_gives_nothing():
    problem = uneven(4, 150)
    found = solve(problem, Goal(np.ones(7, bool)), [0], time.monotonic() - 1)
    assert found.taken is None
    assert found.ended is Ended.TIME


def test_a_floor_that_no_choice_holds_is_told():
    problem = Problem(np.array([5, 7]), np.ones((2, 2)), 8, 8)
    found = solve(problem, Goal(np.ones(2, bool), np.array([0.1, 0.9])), [0], soon())
    assert found.taken is None
    assert found.ended is Ended.FAILED
