"""Ranges of windows as they are typed, and the option type of one."""

import re
from typing import Any

import click

_SPAN = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")


def typed_span(text: str) -> tuple[int, int] | None:
    """The two numbers of ``A:B``, in whatever order; None for another text."""
    match = _SPAN.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


class WindowSpan(click.ParamType):
    """``A:B``: windows A to B (exclusive), as two numbers."""

    name = "A:B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The first window and the one behind the last."""
        if isinstance(value, tuple):
            return value
        span = typed_span(value)
        if span is None or span[0] >= span[1]:
            shown = value if len(value) < 40 else f"{value[:40]}…"
            self.fail(f"{shown!r} is no range; give A:B, windows A to B (exclusive).", param, ctx)
        return span
