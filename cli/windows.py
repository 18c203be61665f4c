"""Option type of a range of windows."""

import re
from typing import Any

import click

_SPAN = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")


class WindowSpan(click.ParamType):
    """``A:B``: windows A to B (exclusive), as two numbers."""

    name = "A:B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The first window and the one behind the last."""
        if isinstance(value, tuple):
            return value
        match = _SPAN.fullmatch(value)
        if match is None or int(match[1]) >= int(match[2]):
            shown = value if len(value) < 40 else f"{value[:40]}…"
            self.fail(f"{shown!r} is no range; give A:B, windows A to B (exclusive).", param, ctx)
        return int(match[1]), int(match[2])
