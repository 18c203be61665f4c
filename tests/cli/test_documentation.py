"""The commands' page says what the commands say."""

import click
import pytest

from cli import data, main
from cli.documentation import TARGET, commands_page
from cli.verbs import load_verb

COMMANDS = [
    (f"{program} {name}", load_verb(address))
    for program, group in (("dmanet-data", data.main), ("dmanet", main.main))
    for name, address in group.verbs.items()
]


def test_the_page_is_what_the_help_says():
    assert TARGET.read_text() == commands_page(), "run `make docs`"


@pytest.mark.parametrize(("title", "command"), COMMANDS, ids=[title for title, _ in COMMANDS])
def test_every_command_shows_itself_in_an_example_and_explains_its_options(title, command):
    assert command.name == title.split()[1]
    assert "Example:" in (command.help or "")
    assert title in command.help
    undocumented = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not option.hidden
    ]
    assert undocumented == []
