"""Errors at the command line: one sentence on stderr and an exit code, never a traceback."""

import errno
from typing import Any

import click

from pipeline.errors import PipelineError

# Faults of the machine rather than of this software: the system's own sentence says enough.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}


class OneLineErrors(click.Group):
    """A command group whose commands may raise :class:`~pipeline.errors.PipelineError`.

    Such an error ends the program with its sentence on stderr and its ``exit_code``: 2 for a request
    that cannot be met (click's own usage errors end with 2 as well), 1 for bad data. A full disk and
    a missing permission are told the same way. Anything else keeps its traceback: it is a defect of
    this software.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            message, exit_code = str(error), error.exit_code
        except OSError as error:
            if error.errno not in _MACHINE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            message, exit_code = f"{where}{error.strerror}.", 1
        click.echo(f"Error: {' '.join(message.split())}", err=True)
        raise click.exceptions.Exit(exit_code)
