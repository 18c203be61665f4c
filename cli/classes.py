"""The option type for names of classes."""

from typing import Any

import click


class ClassNames(click.ParamType):
    """``car,pedestrian`` as a tuple of names; whether they are classes is asked of the data."""

    name = "NAME,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Names, each once, in the order given."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names):
            self.fail("a name is empty; write for example car,pedestrian.", param, ctx)
        if len(set(names)) < len(names):
            self.fail("a class is named twice.", param, ctx)
        return names
