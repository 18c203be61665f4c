"""Option types and options that several commands on data share."""

import re
from typing import Any

import click

from cli.choices import SPLITS
from cli.numbers import Real
from pipeline.errors import UsageError

_DIGITS = 6  # of a number of recordings


class Counts(click.ParamType):
    """``train=4,val=1,test=1`` as a mapping of splits to numbers."""

    name = "SPLIT=N,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, int]:
        """How many recordings, by split."""
        if isinstance(value, dict):
            return value
        counts = {}
        for item in str(value).split(","):
            split, _, number = item.partition("=")
            if split not in SPLITS.choices or not re.fullmatch(f"[0-9]{{1,{_DIGITS}}}", number):
                self.fail(
                    f"'{item}' is not like train=4; splits are {', '.join(SPLITS.choices)}, numbers "
                    f"have up to {_DIGITS} digits.",
                    param,
                    ctx,
                )
            if split in counts:
                self.fail(f"'{split}' is named twice.", param, ctx)
            counts[split] = int(number)
        return counts


class MergedClass(click.ParamType):
    """``bus=truck`` as a pair of names."""

    name = "CLASS=CLASS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The class to merge, and the one that it becomes."""
        if isinstance(value, tuple):
            return value
        one, equals, other = (part.strip() for part in str(value).partition("="))
        if not one or not equals or not other:
            self.fail(f"'{value}' is not like bus=truck.", param, ctx)
        return one, other


class BoxFaultNames(click.ParamType):
    """``duplicate-box,box-jump`` as a tuple of faults of boxes."""

    name = "FAULT,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Names of faults, each once, in the order the settings have them."""
        if isinstance(value, tuple):
            return value
        from pipeline.defects import BOX_FAULTS

        names = [name.strip() for name in str(value).split(",")]
        for name in names:
            if name not in BOX_FAULTS:
                self.fail(f"'{name}' is none of {', '.join(BOX_FAULTS)}.", param, ctx)
        return tuple(fault.value for fault in BOX_FAULTS if fault in names)


class Bytes(click.ParamType):
    """``40GB`` or ``500MiB`` as a number of bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        from pipeline.selection.subset import parse_size

        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class PartNumber(click.ParamType):
    """``3/8`` as the third of eight parts."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A :class:`pipeline.cache.lock.Part`."""
        from pipeline.cache.lock import Part

        try:
            return value if isinstance(value, Part) else Part.parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def box_size_options(command: Any) -> Any:
    """The smallest box the label rules keep, in sensor pixels; None for what the data set says."""
    for name, default in (("--min-side", 20), ("--min-diagonal", 60)):
        command = click.option(
            name,
            type=Real(min=0),
            help=f"Of a kept box, sensor pixels; the data set's if not given, {default} for the DLUT's.",
        )(command)
    return command
