"""The examples in the commands' help, and a workshop where each finds the files that it names."""

import contextlib
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import click
import numpy as np
from click.testing import CliRunner, Result

from benchmarks.walkthrough import write_dat, write_raw
from cli import data, main
from cli.paths import InputCache, InputFile, InputFolder, InputPath, OutputFile, OutputFolder
from cli.verbs import VerbGroup
from tests.pipeline.releases import random_events, random_labels, write_recording

PROGRAMS = {"dmanet-data": data.main, "dmanet": main.main}
#: What a command gets besides its example, so that it is done in a moment.
SMALLER = {
    "dmanet-data simulate": "--size 160x90 --rate 500 --seconds 1 --recordings train=1,test=1",
    "dmanet-data voxelize": "--grid 128x128",
    "dmanet-data show cache": "-o -",  # no terminal is here
    "dmanet train": "--preset tiny --set training.epochs=1 --set training.steps=2 "
    "--set training.batch_size=1",
    "dmanet bench": "--seconds 1",
    "dmanet import-weights": "--preset tiny",
}
RELEASE = "prophesee_dlut"
_INPUTS = (InputFile, InputPath, InputFolder, InputCache)
_OUTPUTS = (OutputFile, OutputFolder)


@dataclass(frozen=True)
class Example:
    """A line of a command's help.

    Attributes:
        title: the command, as ``dmanet-data scan``.
        line: as the help shows it.
        reads: files and folders that it names to be read.
        writes: those to be written.
    """

    title: str
    line: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command of both programs, with those of groups inside them."""
    for program, group in PROGRAMS.items():
        yield from _below(program, group)


def _below(title: str, group: VerbGroup) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{title} {name}", command
        if isinstance(command, VerbGroup):
            yield from _below(f"{title} {name}", command)


def lines_of(command: click.Command) -> list[str]:
    """The lines under ``Example:`` in a command's help."""
    _, _, below = (command.help or "").partition("Example:\n")
    return [line.strip() for line in below.split("\n\n")[0].splitlines() if line.strip()]


def examples() -> list[Example]:
    """All of them; a line that shows another command, as a group's does, is that command's."""
    known = dict(commands())
    found = {}
    for command in known.values():
        for line in lines_of(command):
            title = max((t for t in known if f"{line} ".startswith(f"{t} ")), key=len, default=None)
            assert title, f"{line}: begins with no command; mend the example"
            found[line] = Example(
                title,
                line,
                _named(known[title], line.removeprefix(title), _INPUTS),
                _named(known[title], line.removeprefix(title), _OUTPUTS),
            )
    return list(found.values())


def _named(command: click.Command, words: str, types: tuple[type, ...]) -> tuple[str, ...]:
    """What the words give to parameters of these types."""
    context = click.Context(command, ignore_unknown_options=True)
    given, _, _ = command.make_parser(context).parse_args(shlex.split(words))
    names: list[str] = []
    for parameter in command.params:
        value = given.get(parameter.name or "")
        if isinstance(parameter.type, types):  # what is not given is neither text nor a sequence
            names += [value] if isinstance(value, str) else []
            names += value if isinstance(value, list | tuple) else []
    return tuple(name for name in names if isinstance(name, str) and name != "-")


class Workshop:
    """Runs each example once, in a folder that holds the release and what the example reads."""

    def __init__(self, folder: Path) -> None:
        self._store = folder / "store"
        self._store.mkdir()
        self._folder = folder
        self._results: dict[str, Result] = {}
        self._examples = examples()

    def run(self, example: Example) -> Result:
        """What the example prints and leaves; its outputs are kept for the examples that read them."""
        if example.line not in self._results:
            place = self._folder / f"run {len([*self._folder.iterdir()])}"
            self._results[example.line] = self._run(example, place)
        return self._results[example.line]

    def _run(self, example: Example, place: Path) -> Result:
        place.mkdir()
        for name in example.reads:
            _copy(self.provide(name, example), place / name)
        if not (place / RELEASE).exists():  # where manifests say that their files are
            (place / RELEASE).symlink_to(self.provide(RELEASE, example))
        smaller = SMALLER.get(example.line) or SMALLER.get(example.title, "")
        result = self.call(f"{example.line} {smaller}", place)
        if result.exit_code == 0:
            for name in example.writes:
                if (place / name).exists() and not (self._store / name).exists():
                    _copy(place / name, self._store / name)
        return result

    def call(self, line: str, place: Path | None = None) -> Result:
        """Run a command line in ``place``, by default among all that is there."""
        program, *words = shlex.split(line)
        place = place or self._store
        with contextlib.chdir(place):
            return CliRunner().invoke(PROGRAMS[program], words, catch_exceptions=False)

    def provide(self, name: str, wanted_by: Example) -> Path:
        """The file or folder of that name: there already, laid out, or an example's output."""
        path = self._store / name
        if path.exists():
            return path
        around = {name, *map(str, PurePosixPath(name).parents)}
        if laid := around & LAYOUT.keys():
            LAYOUT[laid.pop()](self, path)
        else:
            maker = next((e for e in self._examples if around & {*e.writes}), None)
            if maker is not None and maker != wanted_by:
                made = self.run(maker)
                assert made.exit_code == 0, f"{maker.line}: {made.output}"
        assert path.exists(), (
            f"`{wanted_by.line}` reads {name}, which no example writes and nobody lays out: add what "
            "makes it to LAYOUT in tests/cli/examples.py"
        )
        return path

    def kept(self, name: str) -> Path:
        """Where an output of that name is kept."""
        return self._store / name

    def must(self, line: str) -> None:
        """Run a command line that has to succeed, among all that is there."""
        result = self.call(line)
        assert result.exit_code == 0, f"{line}: {result.output}"

    def example_that_writes(self, name: str) -> Example:
        """The first example with that output."""
        return next(one for one in self._examples if name in one.writes)

    def example_of(self, title: str) -> Example:
        """The first example of a command."""
        return next(one for one in self._examples if one.title == title)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _release(_: Workshop, root: Path) -> None:
    for k, shards in enumerate(((1, 2), (1,))):
        write_recording(root, f"train/trainfilelist00/rec_{k}", shards=shards, seed=k)
    write_recording(root, "val/valfilelist00/rec_v", shards=(1,), seed=7)
    for k in range(2):
        write_recording(root, f"test/testfilelist00/rec_t{k}", shards=(1,), seed=8 + k)


def _events() -> np.ndarray:
    """A second of a sensor of 304x240 pixels; the first half is skipped."""
    rng = np.random.default_rng(0)
    events = np.concatenate([random_events(rng, 50_000 * k, 100) for k in range(20)])
    events["x"], events["y"] = events["x"] % 304, events["y"] % 240
    return events


def _recordings(_: Workshop, folder: Path) -> None:
    folder.mkdir(parents=True)
    write_dat(folder / "drive_td.dat", _events())


def _driving(_: Workshop, path: Path) -> None:
    write_raw(path, _events())


def _found(workshop: Workshop, path: Path) -> None:
    predict = workshop.example_of("dmanet predict")
    for name in ("cache", "runs/one/last.pt"):
        workshop.provide(name, predict)
    workshop.must(
        f"dmanet predict cache --checkpoint runs/one/last.pt --score 0 --save {path.name} --quiet"
    )


def _boxes(_: Workshop, folder: Path, seed: int) -> None:
    """Prophesee's box files, two recordings of ten windows."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name in ("drive_0", "drive_1"):
        boxes = np.concatenate([random_labels(rng, 600_000 + 50_000 * k, 3) for k in range(10)])
        boxes["class_id"] %= 2  # Gen1 has two classes
        np.save(folder / f"{name}_bbox.npy", boxes)


def _manifest(workshop: Workshop, path: Path) -> None:
    scan = workshop.example_of("dmanet-data scan")
    _copy(workshop.provide(*scan.writes, scan), path)


def _run_one(workshop: Workshop, path: Path) -> None:
    """A run as `train` leaves it, and beside it a result of its own."""
    evaluate = workshop.example_of("dmanet evaluate")
    result = workshop.run(workshop.example_that_writes("runs/one"))
    assert result.exit_code == 0, result.output
    workshop.provide("cache", evaluate)
    workshop.must(
        "dmanet evaluate cache --checkpoint runs/one/last.pt --json runs/one/evaluation.json"
    )


def _run_two(workshop: Workshop, path: Path) -> None:
    one = workshop.provide("runs/one/evaluation.json", workshop.example_of("dmanet compare"))
    _copy(one.parent, one.parent.parent / "two")


def _released(workshop: Workshop, path: Path) -> None:
    export = workshop.example_of("dmanet export-weights")
    _copy(workshop.provide(*export.writes, export), path)


#: What examples read and no example writes: the folder of that name, or the file, when asked for.
LAYOUT: dict[str, Callable[[Workshop, Path], None]] = {
    RELEASE: _release,
    "recordings": _recordings,
    "labels": partial(_boxes, seed=1),
    "detections": partial(_boxes, seed=2),
    "driving.raw": _driving,
    "detections.json": _found,
    "mine.json": _manifest,
    "theirs.json": _manifest,
    "runs/one": _run_one,
    "runs/two": _run_two,
    "released.pth": _released,
}
