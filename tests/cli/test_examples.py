"""Every example in a command's help runs as it stands there, on small data of the names in it."""

import re

import click
import pytest

from cli import demo
from tests.cli.examples import Workshop, commands, examples

#: What the demo's own steps are made of here, where the demo itself is an example.
SMALLER_STEPS = {
    "--workers": "1",
    "--rate": "1000",
    "--seconds": "1",
    "--recordings": "train=1,val=1,test=2",
    "--set training.epochs=": "1",
    "--set training.batch_size=": "1",
}
EXAMPLES = examples()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("examples"))


@pytest.fixture
def small_demo(monkeypatch):
    """The demo's steps with fewer events, windows and epochs."""
    steps = []
    for step in demo.STEPS:
        words = step.arguments
        for option, value in SMALLER_STEPS.items():
            words = re.sub(rf"({option}(?<==)| {option} )\S+", rf"\g<1>{value}", words)
        steps.append(demo.Step(step.program, words))
    monkeypatch.setattr(demo, "STEPS", tuple(steps))


@pytest.mark.usefixtures("small_demo")
@pytest.mark.parametrize("example", EXAMPLES, ids=[example.line for example in EXAMPLES])
def test_the_example_runs_and_writes_what_it_names(workshop, example):
    result = workshop.run(example)
    assert result.exit_code == 0, result.output
    for name in example.writes:
        assert (workshop.kept(name)).exists(), f"{example.line} leaves no {name}"


def test_every_command_has_an_example():
    shown = {example.title for example in EXAMPLES}
    without = {
        title
        for title, command in commands()
        if title not in shown and not isinstance(command, click.Group)
    }
    assert not without, f"give these an @example(…) that shows them (cli/options.py): {without}"


def test_a_file_that_nobody_makes_is_named(workshop):
    example = EXAMPLES[0]
    with pytest.raises(AssertionError, match=r"reads absent\.raw, .* add what makes it to LAYOUT"):
        workshop.provide("absent.raw", example)
