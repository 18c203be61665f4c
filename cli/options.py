"""Options, and parts of a command's help, that commands of both programs share."""

import inspect
from collections.abc import Callable
from typing import Any

import click

quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")
processes_option = click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def exit_codes(*lines: str) -> Callable[[Any], Any]:
    """Put a table of exit codes under a command's help, line by line as it stands."""
    return _below_the_help("Exit codes:", *lines)


def example(*lines: str) -> Callable[[Any], Any]:
    """Put an example under a command's help, or several; every command has one."""
    return _below_the_help("Example:", *lines)


def _below_the_help(title: str, *lines: str) -> Callable[[Any], Any]:
    """A last paragraph whose lines click leaves as they are: the sign before it asks for that."""

    def decorate(command: Any) -> Any:
        text = "\n  ".join((title, *lines))
        command.__doc__ = f"{inspect.cleandoc(command.__doc__)}\n\n\b\n{text}\n"
        return command

    return decorate
