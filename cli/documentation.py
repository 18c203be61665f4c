"""`docs/commands.md`, written from the commands' own help: `python -m cli.documentation`."""

from collections.abc import Iterator
from pathlib import Path

import click

from cli.data import main as data_group
from cli.main import main as dmanet_group
from cli.verbs import VerbGroup, load_verb

TARGET = Path(__file__).parents[1] / "docs" / "commands.md"


def commands_page() -> str:
    """The page: every command's help, as the command itself prints it."""
    parts = [
        "# Commands\n\nWritten by `make docs` from the commands' own help; a test keeps it true.\n"
    ]
    for program, group in (("dmanet-data", data_group), ("dmanet", dmanet_group)):
        parts.append(f"## {program}\n\n{_help(group, program)}")
        parts += _commands(group, program)
    return "\n".join(parts)


def _commands(group: VerbGroup, program: str) -> Iterator[str]:
    for name, address in sorted(group.verbs.items()):
        title, command = f"{program} {name}", load_verb(address)
        yield f"### {title}\n\n{_help(command, title)}"
        if isinstance(command, VerbGroup):
            yield from _commands(command, title)


def _help(command: click.Command, title: str) -> str:
    context = click.Context(command, info_name=title, max_content_width=96)
    return f"```\n{command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    TARGET.write_text(commands_page())
