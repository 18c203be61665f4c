"""`docs/commands.md`, written from the commands' own help: `python -m cli.documentation`."""

from pathlib import Path

import click

from cli.data import main as data_group
from cli.main import main as dmanet_group
from cli.verbs import load_verb

TARGET = Path(__file__).parents[1] / "docs" / "commands.md"


def commands_page() -> str:
    """The page: every command's help, as the command itself prints it."""
    parts = [
        "# Commands\n\nWritten by `make docs` from the commands' own help; a test keeps it true.\n"
    ]
    for program, group in (("dmanet-data", data_group), ("dmanet", dmanet_group)):
        parts.append(f"## {program}\n\n{_help(group, program)}")
        for name, address in sorted(group.verbs.items()):
            title = f"{program} {name}"
            parts.append(f"### {title}\n\n{_help(load_verb(address), title)}")
    return "\n".join(parts)


def _help(command: click.Command, title: str) -> str:
    context = click.Context(command, info_name=title, max_content_width=96)
    return f"```\n{command.get_help(context).rstrip()}\n```\n"


if __name__ == "__main__":
    TARGET.write_text(commands_page())
