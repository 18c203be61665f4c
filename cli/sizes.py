"""The option type for sizes of sensors and grids."""

import re
from typing import Any

import click

_LARGEST_SIDE = 1 << 14  # of a sensor: DAT events hold 14 bits for each coordinate


class Size(click.ParamType):
    """``640x480`` as (width, height)."""

    name = "WxH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Width and height in pixels or cells."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", str(value))
        sides = (int(match[1]), int(match[2])) if match else (0, 0)
        if not all(1 <= side <= _LARGEST_SIDE for side in sides):
            self.fail(
                f"'{value}' is not a size; write for example 1280x720, sides from 1 to {_LARGEST_SIDE}.",
                param,
                ctx,
            )
        return sides
