"""Whatever a command raises on purpose, and whatever the system says, is one short line."""

import errno
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.errors import OneLineErrors
from pipeline.errors import DataError, UsageError


def run(error: BaseException) -> tuple[int, str]:
    @click.group(cls=OneLineErrors)
    def program() -> None:
        """A program."""

    @program.command()
    def work() -> None:
        """Raise."""
        raise error

    result = CliRunner().invoke(program, ["work"])
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("a: is damaged;\nsend it again."), 1, "Error: a: is damaged; send it again.\n"),
        (UsageError("a: is missing."), 2, "Error: a: is missing.\n"),
        (click.UsageError("no\nsuch thing"), 2, "Error: no such thing\n"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), 1, "has died"),
        (MemoryError(), 1, "Error: the memory that this process may have does not suffice"),
        *(
            (
                OSError(number, "the system's own words", "some/file"),
                1,
                "some/file: the system's own words.",
            )
            for number in (
                errno.ENAMETOOLONG,
                errno.ENOTDIR,
                errno.ELOOP,
                errno.EMFILE,
                errno.EIO,
                9999,
            )
        ),
        (OSError(errno.EIO, "words", "a", None, "b"), 1, "Error: a to b: words.\n"),
        (OSError(errno.ENOSPC, "No space left"), 1, "Error: No space left.\n"),
    ],
)
def test_it_is_one_line_and_an_exit_code(error: BaseException, code: int, says: str) -> None:
    ended, said = run(error)
    assert ended == code
    assert says in said
    assert said.count("Error: ") == 1
    assert "\n" not in said[said.index("Error: ") :].rstrip("\n")


def test_a_line_is_short_whatever_it_quotes() -> None:
    _, said = run(DataError(f"{Path('d/' * 3000)}: is wrong; mend it."))
    assert len(said) < 1300
    assert said.startswith("Error: d/d/")
    assert said.endswith("is wrong; mend it.\n")


@pytest.mark.parametrize("error", [ValueError("x"), OSError("a library's own")])
def test_a_defect_of_this_software_keeps_its_traceback(error: Exception) -> None:
    @click.group(cls=OneLineErrors)
    def program() -> None:
        """A program."""

    @program.command()
    def work() -> None:
        """Raise."""
        raise error

    assert CliRunner().invoke(program, ["work"]).exception is error
