"""Option types for files and folders: what cannot be read or written is refused before any work.

A command's inputs are :class:`InputFile`, :class:`InputPath`, :class:`InputFolder` or
:class:`InputCache`, its outputs :class:`OutputFile` or :class:`OutputFolder`.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from cli.hints import instead_of_file, instead_of_folder, instead_of_missing
from pipeline.errors import UsageError, machine_sentence
from pipeline.files.inputs import require_regular
from pipeline.files.outputs import STANDARD_OUTPUT, check_file_output, check_folder_output

_STANDARD_OUTPUTS = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}


class _Completed(click.ParamType):
    """A type whose values a shell completes from what is on disk."""

    name = "path"
    #: What the shell offers: files, among them folders, or folders alone.
    offers = "file"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell, which knows what is there."""
        return [CompletionItem(incomplete, type=self.offers)]


class _PathType(_Completed):
    """A path; ``check`` raises what is wrong with it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, checked."""
        text = os.fsdecode(value)
        if not text:
            self.fail("the name is empty; give a path.", param, ctx)
        try:
            return self.check(text)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        except FileNotFoundError as error:
            said = machine_sentence(error, text).rstrip(".")
            self.fail(f"{said}; {instead_of_missing(text)}", param, ctx)
        except OSError as error:
            self.fail(machine_sentence(error, text), param, ctx)

    def check(self, text: str) -> Path:
        """The path of ``text``.

        Raises:
            UsageError: it cannot be used.
            OSError: the system will not say what is there.
        """
        raise NotImplementedError


class InputFile(_PathType):
    """A regular file that is there, to be read."""

    def check(self, text: str) -> Path:
        """The path of a regular file."""
        if Path(text).is_dir():
            raise UsageError(f"{text}: {instead_of_folder(Path(text))}")
        require_regular(Path(text))
        return Path(text)


class InputPath(_PathType):
    """A file or a folder that is there, to be read."""

    def check(self, text: str) -> Path:
        """The path of a regular file or a folder."""
        path = Path(text)
        if not path.is_dir():
            require_regular(path)
        return path


class InputFolder(_PathType):
    """A folder that is there, to be read."""

    offers = "dir"

    def check(self, text: str) -> Path:
        """The path of a folder."""
        path = Path(text)
        os.stat(path)
        if not path.is_dir():
            raise UsageError(f"{path}: is no folder; give one.")
        return path


class InputCache(_Completed):
    """A folder that is there, or an address with ``://``, to be read; the text as it was given."""

    offers = "dir"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The folder's path, checked, or the address."""
        text = os.fsdecode(value)
        if "://" in text:
            return text
        if text and not os.path.lexists(text):
            self.fail(f"{text}: no such cache; make one with `dmanet-data voxelize`.", param, ctx)
        if os.path.isfile(text):
            self.fail(f"{text}: {instead_of_file(text)}", param, ctx)
        return str(InputFolder().convert(text, param, ctx))


class InputCacheOrFile(InputCache):
    """The same, or a regular file."""

    offers = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path, checked, or the address."""
        text = os.fsdecode(value)
        return text if "://" in text else str(InputPath().convert(text, param, ctx))


class OutputFile(_PathType):
    """A file to write whole; ``-`` is standard output where the command's content is text."""

    def __init__(self, *, standard_output: bool = False) -> None:
        self._standard_output = standard_output

    def check(self, text: str) -> Path:
        """The path of a file that can be written."""
        if text in _STANDARD_OUTPUTS:
            if self._standard_output:
                return STANDARD_OUTPUT
            raise UsageError(
                f"{text}: this cannot go to standard output; give a file, or ./{text} for one of "
                "that name."
                if text == "-"
                else f"{text}: this cannot go to standard output; give a file."
            )
        check_file_output(Path(text))
        return Path(text)


class OutputFolder(_PathType):
    """A folder to write into; the command itself says which folders it takes."""

    offers = "dir"

    def check(self, text: str) -> Path:
        """The path of a folder that is there or can be made."""
        check_folder_output(Path(text))
        return Path(text)


def lines_beside(*outputs: Path | None) -> Callable[[str], None]:
    """What prints a line for people: on stdout, or on stderr where an output's content goes there."""
    return partial(click.echo, err=STANDARD_OUTPUT in outputs)
