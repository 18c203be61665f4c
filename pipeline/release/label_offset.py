"""How many windows a recording's boxes are late or early: what is known of it."""

from dataclasses import dataclass

FARTHEST = 5  # windows that are looked at before and behind


@dataclass(frozen=True)
class LabelOffset:
    """By how many windows boxes are late; negative: early.

    Attributes:
        windows: The offset; ``None`` where the events do not say.
        low: Not less than this, with 95 % of certainty.
        high: Not more than this.
        boxes: How many boxes were laid over events.
    """

    windows: int | None
    low: int
    high: int
    boxes: int
