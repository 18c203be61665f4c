"""Option types of numbers that know their range, and refuse what is no number."""

import math
from typing import Any

import click


class Real(click.FloatRange):
    """A finite number within bounds; click alone lets ``nan`` through every range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return float(number)


#: What a seed may be: numpy takes none below zero, and a manifest holds no longer one.
SEED = click.IntRange(0, 2**63 - 1)
