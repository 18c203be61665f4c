"""Timing A against B fairly: in turn, several times, and by the medians."""

import statistics
import time
from collections.abc import Callable


def in_turn(repetitions: int, **parts: Callable[[], object]) -> dict[str, list[float]]:
    """Seconds of each part, run one after the other ``repetitions`` times after one warm-up each.

    Interleaving lets whatever slows the machine slow every part alike.
    """
    for part in parts.values():
        part()
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repetitions):
        for name, part in parts.items():
            began = time.perf_counter()
            part()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def median(values: list[float]) -> float:
    return statistics.median(values)
