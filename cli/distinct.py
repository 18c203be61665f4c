"""Commands that keep what they read and what they write apart, before any work."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.choices import SPLITS
from cli.paths import InputCache, InputFile, InputFolder, InputPath, OutputFile, OutputFolder
from pipeline.errors import UsageError
from pipeline.files.outputs import STANDARD_OUTPUT

_INPUTS = (InputFile, InputPath, InputFolder, InputCache)
_OUTPUTS = (OutputFile, OutputFolder)


class DistinctPaths(click.Command):
    """A command that writes no file twice, none that it reads, and none into what it reads.

    What counts as read and as written is the type of each parameter, see :mod:`cli.paths`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, and refuse those that meet."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            inputs = list(_places(self.params, ctx.params, _INPUTS))
            outputs = list(_places(self.params, ctx.params, _OUTPUTS))
            _require_distinct(inputs, outputs)
        return rest


@dataclass(frozen=True)
class _Place:
    """Where a parameter's file or folder is.

    Attributes:
        parameter: as the help names it.
        given: as the user wrote it.
        real: with every link followed.
    """

    parameter: str
    given: Path
    real: Path


def _places(
    parameters: list[click.Parameter], values: dict[str, Any], types: tuple[type, ...]
) -> Iterator[_Place]:
    for parameter in parameters:
        value = values.get(parameter.name or "")
        if value is None or not isinstance(parameter.type, types):
            continue
        name = (
            max(parameter.opts, key=len)
            if isinstance(parameter, click.Option)
            else parameter.human_readable_name
        )
        for one in value if isinstance(value, tuple) else (value,):
            if "://" not in str(one):
                yield _Place(name, Path(one), Path(os.path.realpath(one)))


def _require_distinct(inputs: list[_Place], outputs: list[_Place]) -> None:
    for one, other in itertools.combinations(outputs, 2):
        if STANDARD_OUTPUT in (one.given, other.given):
            if one.given == other.given:
                raise UsageError(
                    f"{one.parameter} and {other.parameter} both go to standard output; give one of "
                    "them a file."
                )
        elif one.real == other.real:
            raise UsageError(
                f"{one.given}: {one.parameter} and {other.parameter} name the same place; give two."
            )
        elif {one.real, other.real} & {*one.real.parents, *other.real.parents}:
            inner, outer = (one, other) if other.real in one.real.parents else (other, one)
            raise UsageError(
                f"{inner.given}: {inner.parameter} is inside {outer.parameter}, which holds nothing "
                "else; give another place."
            )
    for output, read in itertools.product(outputs, inputs):
        if output.given == STANDARD_OUTPUT:
            continue
        if output.real == read.real:
            raise UsageError(
                f"{output.given}: {output.parameter} would write over {read.parameter}; give another "
                "place."
            )
        if read.real in output.real.parents and _belongs_to(read.real, output.real):
            raise UsageError(
                f"{output.given}: {output.parameter} is among the files of {read.parameter}; give a "
                "place outside it."
            )


def _belongs_to(folder: Path, path: Path) -> bool:
    """Whether ``path`` below ``folder`` is no place for anything else.

    A release may have other things beside train/, val/, test/; a cache holds nothing but itself.
    """
    first = path.relative_to(folder).parts[0]
    return first in {*SPLITS.choices, "release.json"} or (folder / "zarr.json").exists()
