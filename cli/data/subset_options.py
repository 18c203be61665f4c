"""Option types of `dmanet-data subset`: budgets and class shares."""

from typing import Any

import click

from pipeline.errors import UsageError


class Budget(click.ParamType):
    """``40GB``, or ``train=30GB,val=5GB`` as a mapping of splits to bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number of bytes, in all or by split."""
        from pipeline.selection.request import named_values, split_sizes
        from pipeline.selection.subset import parse_size

        if isinstance(value, int | dict):
            return value
        try:
            if "=" not in str(value):
                return parse_size(str(value))
            sizes = named_values(str(value), "train=30GB")
            return split_sizes({split: parse_size(size) for split, size in sizes.items()})
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Shares(click.ParamType):
    """``car=0.4,pedestrian=0.3`` as a mapping of class names to shares."""

    name = "CLASS=SHARE,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        """Shares by class name."""
        from pipeline.selection.request import parse_target

        try:
            return value if isinstance(value, dict) else parse_target(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)
