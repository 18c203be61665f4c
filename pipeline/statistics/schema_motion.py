"""What statistics hold of the motion of boxes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MotionStatistics:
    """How boxes move, all that are stored, by :mod:`pipeline.release.motion`.

    ``boxes``: by split, the boxes of each kind (``resting``, ``slow``, ``moving``, ``unknown``). Slow is
    from ``slow_speed``, moving from ``moving_speed`` on, pixels a second.
    """

    boxes: dict[str, dict[str, int]]
    slow_speed: float
    moving_speed: float
