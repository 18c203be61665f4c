"""Search for the recordings of one split that keep to a budget and a strategy.

``stratified`` and ``balanced`` improve random draws by exchanges until the class shares are as near
to their target as the recordings allow.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.selection.drift import class_shares, total_variation
from pipeline.selection.strategy import Strategy

_UNFILLED_WEIGHT = 0.25  # an unused share u of the budget costs as much as a drift of 0.25·u
_MAX_MOVES = 400
_RESTARTS = 15
_MAX_TRIED = 96  # recordings on either side of the exchanges tried in one round


@dataclass(frozen=True)
class Problem:
    """The recordings of one split to choose from.

    Attributes:
        sizes: Bytes, int64 ``[R]``.
        counts: Boxes by class, float64 ``[R, C]``.
        budget: Bytes at most.
    """

    sizes: np.ndarray
    counts: np.ndarray
    budget: int


def choose(problem: Problem, strategy: Strategy, rng: np.random.Generator) -> list[int]:
    """Choose recordings within the budget; the same generator state gives the same choice.

    Returns:
        The numbers of the recordings taken, each a row of the problem.
    """
    order = np.arange(len(problem.sizes))
    if strategy is Strategy.FIRST:
        return _take_in_order(problem, order)
    start = _take_in_order(problem, rng.permutation(order))
    if strategy is Strategy.UNIFORM:
        return start
    present = problem.counts.sum(axis=0)
    if strategy is Strategy.BALANCED:
        present = (present > 0).astype(np.float64)
    target = class_shares(present)
    return _nearest(problem, start, target, rng)


def _take_in_order(problem: Problem, order: np.ndarray) -> list[int]:
    left = problem.budget
    taken = []
    for k in order:
        if problem.sizes[k] <= left:
            left -= int(problem.sizes[k])
            taken.append(int(k))
    return taken


def _nearest(
    problem: Problem, first: list[int], target: np.ndarray, rng: np.random.Generator
) -> list[int]:
    """The cheapest of several improved draws, none further from ``target`` than the ``first`` draw.

    A single climb ends in the nearest hollow; with few recordings that is often a poor one.
    """
    drawn = [first] + [
        _take_in_order(problem, rng.permutation(len(problem.sizes))) for _ in range(_RESTARTS)
    ]
    found = [first] + [_improve(problem, start, target, rng) for start in drawn if start]
    states = [_cost(problem, taken, target) for taken in found]
    allowed = [k for k, (_, drift) in enumerate(states) if drift <= states[0][1]]
    return found[min(allowed, key=lambda k: states[k][0])]


def _cost(problem: Problem, taken: list[int], target: np.ndarray) -> tuple[float, float]:
    """Cost of a choice, and its drift alone; see :data:`_UNFILLED_WEIGHT`."""
    drift = float(total_variation(class_shares(problem.counts[taken].sum(axis=0)), target))
    unfilled = 1 - problem.sizes[taken].sum() / problem.budget if problem.budget else 0.0
    return drift + _UNFILLED_WEIGHT * float(unfilled), drift


def _improve(
    problem: Problem, start: list[int], target: np.ndarray, rng: np.random.Generator
) -> list[int]:
    """Exchange and add recordings, the best move first, until none lowers the cost."""
    inside = np.zeros(len(problem.sizes), bool)
    inside[start] = True
    for _ in range(_MAX_MOVES):
        best = _best_move(problem, inside, target, rng)
        if best is None:
            break
        out, into = best
        if out is not None:
            inside[out] = False
        inside[into] = True
    return np.flatnonzero(inside).tolist()


def _best_move(
    problem: Problem,
    inside: np.ndarray,
    target: np.ndarray,
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
    cost = total_variation(class_shares(new_counts), target)  # [1+O, I]
    cost += _UNFILLED_WEIGHT * (1 - new_used / problem.budget)
    cost[new_used > problem.budget] = np.inf
    now, _ = _cost(problem, np.flatnonzero(inside).tolist(), target)
    row, column = np.unravel_index(np.argmin(cost), cost.shape)
    if cost[row, column] > now - 1e-9:
        return None
    return (None if row == 0 else int(outs[row - 1])), int(ins[column])


def _sample(indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(indices) <= _MAX_TRIED:
        return indices
    return np.sort(rng.choice(indices, _MAX_TRIED, replace=False))
