"""Errors at the command line: one sentence on stderr and an exit code, never a traceback."""

import errno
import io
import sys
from typing import Any

import click

from pipeline.errors import PipelineError, machine_sentence


class OneLineErrors(click.Group):
    """A command group whose commands may raise :class:`~pipeline.errors.PipelineError`.

    Such an error ends the program with its sentence on stderr and its ``exit_code``: 2 for a request
    that cannot be met (click's own usage errors end with 2 as well), 1 for bad data. What the system
    refuses, a full disk, a missing permission, a name too long, and a want of memory are told the
    same way. Anything else keeps its traceback: it is a defect of this software.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # As stderr does: a name's bytes that are not UTF-8 are printed as their codes.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except PipelineError as error:
            kind = _WrongRequest if error.exit_code == _WrongRequest.exit_code else _Failure
            raise kind(_one_line(str(error))) from None
        except OSError as error:
            if error.errno in (
                None,
                errno.EPIPE,
            ):  # a library's own; or nobody reads what is printed
                raise
            raise _Failure(_one_line(machine_sentence(error))) from None
        except MemoryError:
            raise _Failure(
                "the memory that this process may have does not suffice; run with fewer workers, or on "
                "a larger machine."
            ) from None


class _Failure(click.ClickException):
    exit_code = 1


class _WrongRequest(click.ClickException):
    exit_code = 2


def _one_line(message: str) -> str:
    return " ".join(message.split())
