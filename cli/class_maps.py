"""The option type for class maps of data sets."""

from typing import Any

import click

from cli.paths import InputFile
from pipeline.errors import UsageError


class Labels(click.ParamType):
    """The name of a data set, or a YAML file, as a class map."""

    name = "NAME|FILE.yaml"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A :class:`pipeline.release.classes.ClassMap`."""
        from pipeline.release.classes import CLASS_MAPS, ClassMap, read_class_map

        if isinstance(value, ClassMap):
            return value
        if value in CLASS_MAPS:
            return CLASS_MAPS[value]
        try:
            return read_class_map(InputFile().convert(value, param, ctx))
        except UsageError as error:
            self.fail(str(error), param, ctx)
