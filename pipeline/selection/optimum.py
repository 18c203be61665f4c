"""The choice nearest to a goal as a mixed-integer programme, and a bound that no choice passes.

Distances are fractions: something linear in the choice, over its number of boxes. Dinkelbach's way
solves such a problem as a row of linear ones: with ``λ`` a distance that is reached, the choice that
makes ``distance·boxes − λ·boxes`` least is nearer, or there is none. The first ``λ`` is the bound from
the problem without whole recordings, which is often nearly reached.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from pipeline.selection.goal import Goal
from pipeline.selection.search import Problem
from pipeline.selection.silence import silenced

#: Distance to the bound at which looking further is not worth it.
NEAR = 2e-3
_FIRST_NODES = 50  # branches of the first programme, whose own end does not matter
_NODES = (
    200  # and of each further one: a limit by work, not time, so that it ends the same anywhere
)
_ROUNDS = 8
_SLACK = 2e-6  # of the budget; the solver takes rows as kept within 1e-6


class Ended(StrEnum):
    """How far the solver came."""

    OPTIMAL = "optimal"  # no choice is nearer
    NEAR = "near"  # within :data:`NEAR` of the bound
    NODES = "nodes"  # its branches were spent
    TIME = "time"  # the clock ended it: another run may choose otherwise
    FAILED = "failed"  # it had no answer


@dataclass(frozen=True)
class Optimum:
    """What the solver found.

    Attributes:
        taken: The recordings, each a row of the problem; ``None`` where it found nothing better.
        bound: A distance below which no choice is.
        ended: How it ended.
    """

    taken: list[int] | None
    bound: float
    ended: Ended


@dataclass(frozen=True)
class _Linear:
    """``distance·boxes`` as a linear cost of whole recordings and some helping variables.

    Attributes:
        rows: Over recordings and helpers ``[M, R+H]``; each is at least 0.
        boxes: By recording, in units of their mean, ``[R]``.
        base: What each box costs.
        helpers: What each helping variable, from 0 up, costs ``[H]``.
    """

    rows: np.ndarray
    boxes: np.ndarray
    base: float
    helpers: np.ndarray


def solve(problem: Problem, goal: Goal, known: list[int], deadline: float) -> Optimum:
    """The choice nearest to ``goal`` that holds the problem's floor and budget.

    Args:
        problem: The recordings; some have boxes.
        goal: What is sought.
        known: A choice to do better than.
        deadline: On :func:`time.monotonic`'s clock.
    """
    linear = _linear(problem, goal)
    bound = _bound(problem, linear)
    if bound is None:
        return Optimum(None, 0.0, Ended.FAILED)
    best, reached = None, float(goal.distance(problem.chosen_counts(known)))
    if problem.used(known) < problem.floor:
        reached = 1.0
    level = bound
    for turn in range(_ROUNDS):
        if reached <= bound + NEAR:
            return Optimum(best, bound, Ended.NEAR)
        nodes = _NODES if turn else _FIRST_NODES
        taken, proven = _nearest_at(problem, linear, level, deadline, nodes)
        distance = 1.0 if taken is None else float(goal.distance(problem.chosen_counts(taken)))
        better = taken is not None and (distance < reached or (best is None and reached == 1.0))
        if better:
            best, reached = taken, distance
        elif turn and proven:
            failed = best is None and reached == 1.0
            return Optimum(best, reached, Ended.FAILED if failed else Ended.OPTIMAL)
        if time.monotonic() > deadline:
            return Optimum(best, bound, Ended.TIME)
        if turn and not proven:
            break
        level = reached
    return Optimum(best, bound, Ended.NODES)


def fullest(problem: Problem, deadline: float) -> list[int] | None:
    """The choice of most bytes within the budget, as far as the solver finds it."""
    share = problem.sizes / problem.budget
    return _whole(problem, -share, np.zeros((0, len(share))), 0.0, deadline, _NODES)[0]


def _linear(problem: Problem, goal: Goal) -> _Linear:
    boxes = problem.counts.sum(axis=1)
    scale = boxes.mean()
    if goal.target is None:  # boxes − z/equal, z at most the boxes of any class
        counts = problem.counts[:, goal.present].T / scale
        rows = np.hstack([counts, -np.ones((len(counts), 1))])
        return _Linear(rows, boxes / scale, 1.0, np.array([-1 / goal.equal_share]))
    away = (problem.counts - goal.target * boxes[:, None]).T / scale  # half of its absolute sum
    one = np.eye(len(away))
    rows = np.vstack([np.hstack([-away, one]), np.hstack([away, one])])
    return _Linear(rows, boxes / scale, 0.0, np.full(len(away), 0.5))


def _bound(problem: Problem, linear: _Linear) -> float | None:
    """The least distance where parts of recordings could be taken: Charnes and Cooper's programme.

    Its variables are recordings and helpers over the number of boxes, and one over that number.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, csr_array, eye_array, hstack, vstack

    count, helpers = len(linear.boxes), len(linear.helpers)
    share = problem.sizes / problem.budget
    floor = problem.floor / problem.budget
    nothing = np.zeros(helpers)
    upper = vstack(
        [
            hstack([csr_array(-linear.rows), coo_array((len(linear.rows), 1))]),
            csr_array(np.concatenate([share, nothing, [-1.0]])[None]),
            csr_array(np.concatenate([-share, nothing, [floor]])[None]),
            hstack(
                [eye_array(count), coo_array((count, helpers)), csr_array(-np.ones((count, 1)))]
            ),
        ]
    )
    result = linprog(
        np.concatenate([linear.base * linear.boxes, linear.helpers, [0.0]]),
        A_ub=upper,
        b_ub=np.zeros(upper.shape[0]),
        A_eq=np.concatenate([linear.boxes, nothing, [0.0]])[None],
        b_eq=[1.0],
        method="highs",
    )
    return None if result.x is None else min(1.0, max(0.0, float(result.fun)))


def _nearest_at(
    problem: Problem, linear: _Linear, level: float, deadline: float, nodes: int
) -> tuple[list[int] | None, bool]:
    """The choice of least ``distance·boxes − level·boxes``, and whether that is proven the least."""
    cost = np.concatenate([(linear.base - level) * linear.boxes, linear.helpers])
    some = np.concatenate([linear.boxes, np.zeros(len(linear.helpers))])[None]
    fewest = float(linear.boxes[linear.boxes > 0].min())  # no boxes at all have no shares
    rows = np.vstack([linear.rows, some])
    return _whole(problem, cost, rows, fewest, deadline, nodes, len(linear.helpers))


def _whole(
    problem: Problem,
    cost: np.ndarray,
    rows: np.ndarray,
    last_row: float,
    deadline: float,
    nodes: int,
    helpers: int = 0,
) -> tuple[list[int] | None, bool]:
    """Whole recordings of least cost, and whether they are proven to be.

    ``rows`` are at least 0, the last of them at least ``last_row``; sizes are within floor and budget.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    count = len(problem.sizes)
    share = np.concatenate([problem.sizes / problem.budget, np.zeros(helpers)])
    lowest = np.zeros(len(rows))
    lowest[-1:] = last_row
    floor = problem.floor / problem.budget
    for attempt in range(3):
        limits: list[Any] = [LinearConstraint(share[None], floor, 1 - attempt * _SLACK)]
        if len(rows):
            limits.append(LinearConstraint(rows, lowest, np.inf))
        left = deadline - time.monotonic()
        if left <= 0:
            return None, False
        with silenced():
            result = milp(
                cost,
                integrality=np.concatenate([np.ones(count), np.zeros(helpers)]),
                bounds=Bounds(0, np.concatenate([np.ones(count), np.full(helpers, np.inf)])),
                constraints=limits,
                options={"node_limit": nodes, "time_limit": left, "mip_rel_gap": 0.0},
            )
        if result.x is None:
            return None, result.status == 2  # there is no such choice
        taken = np.flatnonzero(result.x[:count] > 0.5).tolist()
        if problem.used(taken) <= problem.budget:
            return taken, result.status == 0
    return None, False
