"""Search for the recordings of one split that keep to a budget and come near to a goal.

Random draws are improved by exchanges until the class shares are as near to their goal as the
exchanges bring them.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.selection.goal import Goal

#: A choice holds this much of the budget or, where no choice holds that, of the fullest choice.
FILLED = 0.98
_UNFILLED_WEIGHT = 0.05  # an unused share u of the budget costs as much as a distance of 0.05·u
_TOO_EMPTY_WEIGHT = 10.0  # and far more of what is missing to the floor
_MAX_MOVES = 400
_RESTARTS = 15
_RESTARTS_AMONG_MANY = 3  # where exchanges are plenty, one climb ends about as high as another
_MANY = 200  # recordings
_MAX_TRIED = 96  # recordings on either side of the exchanges tried in one round


@dataclass(frozen=True)
class Problem:
    """The recordings of one split to choose from.

    Attributes:
        sizes: Bytes, int64 ``[R]``.
        counts: Boxes by class, float64 ``[R, C]``.
        budget: Bytes at most.
        floor: Bytes at least, where a search can.
    """

    sizes: np.ndarray
    counts: np.ndarray
    budget: int
    floor: int = 0

    def used(self, taken: list[int]) -> int:
        """Bytes of a choice."""
        return int(self.sizes[taken].sum())

    def chosen_counts(self, taken: list[int]) -> np.ndarray:
        """Boxes of a choice by class, float64 ``[C]``."""
        counts: np.ndarray = self.counts[taken].sum(axis=0)
        return counts


def take_in_order(problem: Problem, order: np.ndarray) -> list[int]:
    """Every recording that still fits, in the given order."""
    left = problem.budget
    taken = []
    for k in order:
        if problem.sizes[k] <= left:
            left -= int(problem.sizes[k])
            taken.append(int(k))
    return taken


def nearest(problem: Problem, first: list[int], goal: Goal, rng: np.random.Generator) -> list[int]:
    """The cheapest of several improved draws, the ``first`` among them.

    A single climb ends in the nearest hollow; with few recordings that is often a poor one.
    """
    restarts = _RESTARTS if len(problem.sizes) <= _MANY else _RESTARTS_AMONG_MANY
    drawn = [first] + [
        take_in_order(problem, rng.permutation(len(problem.sizes))) for _ in range(restarts)
    ]
    found = [first] + [improve(problem, start, goal, rng) for start in drawn if start]
    return min(found, key=lambda taken: _cost(problem, taken, goal))


def improve(problem: Problem, start: list[int], goal: Goal, rng: np.random.Generator) -> list[int]:
    """Exchange and add recordings, the best move first, until none lowers the cost."""
    inside = np.zeros(len(problem.sizes), bool)
    inside[start] = True
    for _ in range(_MAX_MOVES):
        best = _best_move(problem, inside, goal, rng)
        if best is None:
            break
        out, into = best
        if out is not None:
            inside[out] = False
        inside[into] = True
    return np.flatnonzero(inside).tolist()


def _cost(problem: Problem, taken: list[int], goal: Goal) -> float:
    distance = goal.slope(problem.chosen_counts(taken))
    return float(distance + _unfilled_cost(problem, np.array(problem.used(taken))))


def _unfilled_cost(problem: Problem, used: np.ndarray) -> np.ndarray:
    missing = np.maximum(0, problem.floor - used)
    cost = _UNFILLED_WEIGHT * (problem.budget - used) + _TOO_EMPTY_WEIGHT * missing
    return cost / max(1, problem.budget)


def _best_move(
    problem: Problem,
    inside: np.ndarray,
    goal: Goal,
    rng: np.random.Generator,
) -> tuple[int | None, int] | None:
    """The move that lowers the cost most; ``None`` where none does.

    A move takes one recording out (or none, the first row of the tables) and one in.
    """
    outs = _sample(np.flatnonzero(inside), rng)
    ins = _sample(np.flatnonzero(~inside), rng)
    if not len(ins):
        return None
    counts = problem.counts[inside].sum(axis=0)
    used = int(problem.sizes[inside].sum())
    lost = np.vstack([np.zeros_like(counts)[None], problem.counts[outs]])  # [1+O, C]
    freed = np.concatenate([[0], problem.sizes[outs]])  # [1+O]
    new_counts = counts - lost[:, None] + problem.counts[ins][None]  # [1+O, I, C]
    new_used = used - freed[:, None] + problem.sizes[ins][None]  # [1+O, I]
    cost = goal.slope(new_counts) + _unfilled_cost(problem, new_used)  # [1+O, I]
    cost[new_used > problem.budget] = np.inf
    now = _cost(problem, np.flatnonzero(inside).tolist(), goal)
    row, column = np.unravel_index(np.argmin(cost), cost.shape)
    if cost[row, column] > now - 1e-9:
        return None
    return (None if row == 0 else int(outs[row - 1])), int(ins[column])


def _sample(indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(indices) <= _MAX_TRIED:
        return indices
    return np.sort(rng.choice(indices, _MAX_TRIED, replace=False))
