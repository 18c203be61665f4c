"""Anchors that leave fewer boxes without a positive one, as many at a cell as before.

The search starts from anchors that are given and from the boxes' own shapes, and then turns one number
at a time: what it counts is what training's matching does. It draws nothing, so the same boxes give the
same anchors.
"""

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.anchors.fit import POSITIVE_IOU, best_anchor_iou
from pipeline.anchors.settings import AnchorSettings

_DIGITS = 3  # of every number suggested: what is printed is what was counted
_BASES = 2.0 ** (np.arange(-10, 7) / 2)  # factors on the base scale, tried first
_STEPS = (1 / 2, 1 / 4, 1 / 8, 1 / 16)  # octaves
_ROUNDS = 6  # through all numbers at most, at each step
_LEAST, _MOST = 0.001, 1000.0  # that the settings take

_Score = tuple[float, float]


def suggest_anchors(
    boxes: np.ndarray,
    weights: np.ndarray,
    grid_size: tuple[int, int],
    start: AnchorSettings,
) -> AnchorSettings:
    """Anchors that leave less weight of boxes unmatched than ``start``, or ``start`` itself.

    Args:
        boxes: ``[N, 4]``, x1, y1, x2, y2 in grid units.
        weights: ``[N]``, what each box counts.
        grid_size: height and width in cells.
        start: with the levels, and as many scales and ratios, as the suggestion shall have.
    """
    if not len(boxes):
        return start

    def score(settings: AnchorSettings) -> _Score:
        """Weight of the boxes without a positive anchor; then how badly the best ones fit."""
        iou = best_anchor_iou(boxes, grid_size, settings)
        return float(weights[iou < POSITIVE_IOU].sum()), -float(weights @ iou)

    own_ratios = start.model_copy(update={"ratios": _common_ratios(boxes, weights, start)})
    best, least = start, score(start)
    for settings in (start, own_ratios):
        for factor in _BASES:
            best, least = _better(_with_base(settings, factor), best, least, score)
    for step in _STEPS:
        for _ in range(_ROUNDS):
            before = least
            for settings in _turned(best, step):
                # The one that was best when the round began, with one number turned.
                best, least = _better(settings, best, least, score)
            if least == before:
                break
    return best


def _better(
    candidate: AnchorSettings,
    best: AnchorSettings,
    least: _Score,
    score: Callable[[AnchorSettings], _Score],
) -> tuple[AnchorSettings, _Score]:
    found = score(candidate)
    return (candidate, found) if found < least else (best, least)


def _with_base(settings: AnchorSettings, factor: float) -> AnchorSettings:
    return settings.model_copy(update={"base_scale": _within(settings.base_scale * factor)})


def _turned(settings: AnchorSettings, step: float) -> Iterator[AnchorSettings]:
    """The settings with one number a step up or down, one after the other.

    The first scale stands: the base scale turns all of them.
    """
    for factor in (2.0**step, 2.0**-step):
        yield _with_base(settings, factor)
        for name, first in (("scales", 1), ("ratios", 0)):
            values = getattr(settings, name)
            for k in range(first, len(values)):
                turned = (*values[:k], _within(values[k] * factor), *values[k + 1 :])
                yield settings.model_copy(update={name: tuple(sorted(turned))})


def _within(value: float) -> float:
    return float(f"{min(max(value, _LEAST), _MOST):.{_DIGITS}g}")


def _common_ratios(
    boxes: np.ndarray, weights: np.ndarray, start: AnchorSettings
) -> tuple[float, ...]:
    """As many heights over widths as ``start`` has, by k-means over their logarithms."""
    width, height = np.maximum(boxes[:, 2:] - boxes[:, :2], _LEAST).T
    shape = np.log(height / width)
    order = np.argsort(shape, kind="stable")
    shape, weight = shape[order], weights[order]
    number = len(start.ratios)
    until = np.cumsum(weight) / weight.sum()
    centres = shape[
        np.searchsorted(until, (np.arange(number) + 0.5) / number).clip(0, len(shape) - 1)
    ]
    for _ in range(50):
        borders = np.searchsorted(shape, (centres[1:] + centres[:-1]) / 2)
        parts = zip(np.split(shape, borders), np.split(weight, borders), centres, strict=True)
        moved = [np.average(s, weights=w) if len(s) else centre for s, w, centre in parts]
        if np.array_equal(moved, centres):
            break
        centres = np.array(moved)
    return tuple(sorted(_within(float(np.exp(centre))) for centre in centres))
