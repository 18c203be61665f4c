"""The choice of one split by a strategy: a draw, a search, or the solver's."""

import time
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from pipeline.selection.drift import class_shares
from pipeline.selection.goal import Goal
from pipeline.selection.optimum import Ended, Optimum, fullest, solve
from pipeline.selection.search import FILLED, Problem, improve, nearest, take_in_order
from pipeline.selection.strategy import Strategy

_ROUNDING = 2e-6  # of the budget, by which the solver may miss the floor


class Method(StrEnum):
    """Where a choice comes from."""

    ALL = "all"  # everything fits
    ORDER = "order"  # the recordings in order
    DRAW = "draw"  # a random order
    SEARCH = "search"  # exchanges from random draws
    SOLVER = "solver"  # the mixed-integer programme, or exchanges from its choice


@dataclass(frozen=True)
class Choice:
    """The recordings that one split gives.

    Attributes:
        taken: Each a row of the problem, ascending.
        method: Where the choice comes from.
        ended: How far the solver came; ``None`` where it had nothing to do.
        reached: The smallest share, or the total variation from the target; ``None`` without a goal.
        bound: What no choice that is as full surpasses; ``None`` where it is not known.
    """

    taken: list[int]
    method: Method
    ended: Ended | None = None
    reached: float | None = None
    bound: float | None = None


def choose(
    problem: Problem,
    strategy: Strategy,
    target: np.ndarray | None,
    rng: np.random.Generator,
    deadline: float,
) -> Choice:
    """Choose recordings within the budget; the same generator state gives the same choice.

    The seed also decides the order in which the solver sees the recordings, and so between choices
    that are as good.

    Args:
        problem: The recordings; its floor is set here.
        strategy: What decides.
        target: For :attr:`Strategy.TARGET` the shares to come near ``[C]``.
        rng: Of the draw.
        deadline: When the solver ends at the latest, on :func:`time.monotonic`'s clock.
    """
    count = len(problem.sizes)
    goal = _goal(problem, strategy, target)
    if problem.sizes.min(initial=problem.budget + 1) > problem.budget:
        return Choice([], Method.ORDER)
    if problem.used(list(range(count))) <= problem.budget:
        return _with_goal(problem, goal, Choice(list(range(count)), Method.ALL))
    if strategy is Strategy.FIRST:
        return Choice(take_in_order(problem, np.arange(count)), Method.ORDER)
    order = rng.permutation(count)
    if strategy is Strategy.UNIFORM or goal is None:
        return Choice(sorted(take_in_order(problem, order)), Method.DRAW)
    shuffled = Problem(problem.sizes[order], problem.counts[order], problem.budget)
    shuffled = replace(shuffled, floor=_floor(shuffled, deadline))
    choice = _nearest(shuffled, goal, rng, deadline)
    taken = sorted(int(order[k]) for k in choice.taken)
    return _with_goal(problem, goal, replace(choice, taken=taken))


def _goal(problem: Problem, strategy: Strategy, target: np.ndarray | None) -> Goal | None:
    boxes = problem.counts.sum(axis=0)
    if strategy in (Strategy.FIRST, Strategy.UNIFORM):
        return None
    if strategy is Strategy.BALANCED:
        return Goal(boxes > 0)
    return Goal(boxes > 0, class_shares(boxes) if target is None else target)


def _floor(problem: Problem, deadline: float) -> int:
    """Bytes at least: :data:`FILLED` of the budget, or of the fullest choice that was found."""
    by_size = np.argsort(-problem.sizes, kind="stable")
    drawn = np.arange(len(problem.sizes))
    most = max(problem.used(take_in_order(problem, order)) for order in (by_size, drawn))
    if most < FILLED * problem.budget:
        found = fullest(problem, deadline)
        most = max(most, problem.used(found) if found else 0)
    return int(np.ceil(FILLED * (problem.budget if most >= FILLED * problem.budget else most)))


def _nearest(problem: Problem, goal: Goal, rng: np.random.Generator, deadline: float) -> Choice:
    """The better of the search's choice and the solver's, which a last search improves."""
    drawn = take_in_order(problem, np.arange(len(problem.sizes)))
    searched = nearest(problem, drawn, goal, rng)
    if not problem.counts.any():
        return Choice(searched, Method.SEARCH)
    if time.monotonic() > deadline:
        return Choice(searched, Method.SEARCH, Ended.TIME)
    optimum = solve(problem, goal, searched, deadline)
    found = Choice(searched, Method.SEARCH, optimum.ended, bound=_told(optimum))
    if optimum.taken is None:
        return found
    solved = [optimum.taken]
    if optimum.ended not in (Ended.OPTIMAL, Ended.NEAR):
        solved.append(improve(problem, optimum.taken, goal, rng))
    best = min([searched, *solved], key=lambda taken: _rank(problem, goal, taken))
    return found if best is searched else replace(found, taken=best, method=Method.SOLVER)


def _told(optimum: Optimum) -> float | None:
    return None if optimum.ended is Ended.FAILED else optimum.bound


def _rank(problem: Problem, goal: Goal, taken: list[int]) -> tuple[float, float]:
    missing = problem.floor - _ROUNDING * problem.budget - problem.used(taken)
    return max(0.0, missing), float(goal.distance(problem.chosen_counts(taken)))


def _with_goal(problem: Problem, goal: Goal | None, choice: Choice) -> Choice:
    """The choice with its distance, and the bound, as people say them."""
    if goal is None or not problem.counts.any():
        return replace(choice, bound=None)
    reached = float(goal.distance(problem.chosen_counts(choice.taken)))
    bound = None if choice.bound is None else goal.measure(min(choice.bound, reached))
    return replace(choice, reached=goal.measure(reached), bound=bound)
