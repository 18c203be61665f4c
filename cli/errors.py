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
            kind = _WrongRequest if error.exit_code == _WrongRequest.exit_code else _Failure
            raise kind(_one_line(str(error))) from None
        except OSError as error:
            if error.errno not in _MACHINE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise _Failure(_one_line(f"{where}{error.strerror}.")) from None


class _Failure(click.ClickException):
    exit_code = 1


class _WrongRequest(click.ClickException):
    exit_code = 2


def _one_line(message: str) -> str:
    return " ".join(message.split())
