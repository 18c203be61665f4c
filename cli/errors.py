"""Errors at the command line: one sentence on stderr and an exit code, never a traceback."""

import errno
import io
import sys
from typing import Any

import click

from pipeline.errors import PipelineError, machine_sentence

_LONGEST = 1200  # characters of a sentence; of a longer one the begin and the end are shown
_BEGIN = 400


class OneLineErrors(click.Group):
    """A command group whose commands may raise :class:`~pipeline.errors.PipelineError`.

    Such an error ends the program with its sentence on stderr and its ``exit_code``: 2 for a request
    that cannot be met (click's own usage errors end with 2 as well), 1 for bad data. What the system
    refuses (a full disk, a missing permission, a name too long), a want of memory and the death of a
    reading process are told the same way. Anything else keeps its traceback: it is a defect of this
    software.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the chosen command."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            # As stderr does: a name's bytes that are not UTF-8 are printed as their codes.
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = _one_line(error.message)  # click declares it final
            raise
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
        except RuntimeError as error:
            # torch raises it wherever this process happens to be when the other one dies.
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            raise _Failure(
                "a process that read ahead has died, perhaps for want of memory; run with fewer workers."
            ) from None
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
    """On one line, and short: what is quoted in it may have any length."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else f"{line[:_BEGIN]} … {line[_BEGIN - _LONGEST :]}"
