"""Command groups that load a command when it is asked for."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from cli.errors import OneLineErrors


def load_verb(address: str) -> click.Command:
    """The command at ``address``, written ``module:function``."""
    module, _, function = address.partition(":")
    command: click.Command = getattr(import_module(module), function)
    return command


class VerbGroup(OneLineErrors):
    """A group whose commands stand in modules of their own, each imported on its first use.

    The group's own ``--help`` shows a line of every command and so loads them all: a command's module
    imports nothing heavy until it runs.

    Attributes:
        verbs: where each command is, by its name, as :func:`load_verb` takes it.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; ``None`` where there is none."""
        address = self.verbs.get(cmd_name)
        return load_verb(address) if address else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names, and the words after it.

        Raises:
            click.UsageError: there is none; it names those that are written alike.
        """
        name = args[0]
        if name in self.verbs or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        alike = difflib.get_close_matches(name, self.verbs)
        raise click.UsageError(
            f"No such command '{name}'; "
            + (f"did you mean {' or '.join(map(repr, alike))}? " if alike else "")
            + f"`{ctx.command_path} --help` lists the commands.",
            ctx,
        )
