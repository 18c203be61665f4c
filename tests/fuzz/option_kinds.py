"""Cases on what is typed: every option and argument of every command gets what it should not."""

import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from cli import data as data_commands
from cli import model as network_commands
from cli.verbs import VerbGroup, load_verb
from tests.fuzz.hostile import NUMBERS, SETTINGS, TEXTS, hostile_path
from tests.fuzz.sandbox import Case

_OUT = "{out}"  # replaced by a new path of the case's own folder
#: A sound call of each command: arguments, then options with their values. ``{f}`` are the fixtures.
#: Flags that decide what else is asked for follow the command's name.
DATA: Mapping[str, tuple[list[str], dict[str, str]]] = {
    "simulate": (
        [_OUT],
        {"--size": "64x48", "--rate": "100", "--seconds": "1.1", "--recordings": "train=1"}
        | {"--objects": "1", "--seed": "0", "--classes": "car", "--defects": "", "--workers": "1"},
    ),
    "ingest": (
        ["{f}/camera/drive_td.dat", _OUT],
        {"--split": "train", "--skip": "0.5", "--workers": "1", "--labels": "gen1"}
        | {"--map": "car=pedestrian", "--classes": "pedestrian", "--sensor": "64x48"},
    ),
    "scan": (
        ["{f}/release"],
        {"-o": _OUT, "--min-side": "2", "--min-diagonal": "2", "--workers": "1"},
    ),
    "scan --labels-only": (
        ["{f}/release"],
        {"-o": _OUT, "--sizes": "{f}/sizes.csv", "--workers": "1"},
    ),
    "scan --update": (["{f}/release"], {"-o": _OUT, "--min-side": "2", "--workers": "1"}),
    "manifest diff": (["{f}/manifest.json", "{f}/manifest.json"], {}),
    "manifest verify": (["{f}/release", "{f}/manifest.json"], {}),
    "subset": (
        ["{f}/manifest.json"],
        {"--budget": "1MB", "-o": _OUT, "--strategy": "first", "--classes": "car", "--seed": "0"}
        | {"--files-from": _OUT, "--link": _OUT, "--copy": _OUT},
    ),
    "voxelize": (
        ["{f}/manifest.json", _OUT],
        {"--root": "{f}/release", "--preset": "release", "--grid": "32x32", "--time-cells": "1"}
        | {"--max-points": "5", "--max-pillars": "1000", "--dedup": "pixel", "--overflow": "skip"}
        | {"--time-steps": "0", "--classes": "car", "--min-side": "2", "--min-diagonal": "2"}
        | {
            "--drop": "box-jump",
            "--workers": "1",
            "--parts": "1/1",
            "--on-corrupt": "quarantine",
            "--report": _OUT,
        },
    ),
    "verify": (["{f}/cache"], {"--root": "{f}/release", "--sample": "3", "--seed": "0"}),
    "info": (["{f}/cache"], {"--manifest": "{f}/manifest.json"}),
    "stats": (
        ["{f}/cache"],
        {"-o": _OUT, "--json": _OUT, "--compare": "{f}/manifest.json", "--workers": "1"},
    ),
    "anchors": (["{f}/cache"], {"-o": _OUT}),
    "export": (["{f}/cache"], {"-o": _OUT, "--format": "yolo", "--split": "train"}),
    "show": (
        ["{f}/cache"],
        {
            "--recording": "train/trainfilelist00/sim_000000_train_0000",
            "--window": "1",
            "-o": _OUT,
            "--width": "99",
        },
    ),
}
_TINY = {"--preset": "tiny", "--device": "cpu", "--workers": "0"}
NETWORK: Mapping[str, tuple[list[str], dict[str, str]]] = {
    "train": (
        ["{f}/tiny"],
        {"--run-dir": _OUT, "--checkpoint-every": "1", "--keep-every": "0", "--max-bad-steps": "1"}
        | {"--set": "training.epochs=1", "--config": "{f}/small.yaml"}
        | _TINY,
    ),
    "evaluate": (
        ["{f}/tiny"],
        {
            "--checkpoint": "{f}/run/last.pt",
            "--protocol": "release",
            "--split": "test",
            "--json": _OUT,
        }
        | {"--steps": "10", "--device": "cpu", "--precision": "fp32", "--workers": "0"}
        | {"--batch": "2", "--resamples": "10", "--seed": "1", "--pictures": _OUT},
    ),
    "evaluate --quiet": (
        [],
        {"--gt": "{f}/boxes", "--dt": "{f}/boxes", "--labels": "gen1", "--json": _OUT}
        | {"--protocol": "prophesee", "--resamples": "10", "--seed": "1"},
    ),
    "compare": (["{f}/boxes.json", "{f}/boxes.json"], {}),
    "predict": (
        ["{f}/tiny"],
        {
            "--checkpoint": "{f}/run/last.pt",
            "--recording": "test/testfilelist00/sim_000000_test_0000",
        }
        | {"--windows": "0:3", "-o": _OUT, "--score": "0.3", "--pictures": "1", "--steps": "3"}
        | {"--device": "cpu", "--precision": "fp32", "--workers": "0"},
    ),
    "bench": (["{f}/nothing"], {"--seconds": "1", "--set": "training.epochs=1"} | _TINY),
    "results": (["{f}/run"], {"--evaluation": "{f}/result.json", "--cache": "{f}/tiny"}),
    "report": (["{f}/run"], {"-o": _OUT, "--result": "{f}/result.json"}),
    "import-weights": (
        ["{f}/released.pth", _OUT],
        {"--preset": "tiny", "--set": "stem_width=8"},
    ),
    "export-weights": (["{f}/run/last.pt", _OUT], {}),
}
_WORKERS = [text for text in NUMBERS if text not in ("2", "3", "+3", "１２", "١٢", "1_0")]
_NO_NUMBER = {"nan", "-nan", "inf", "-inf", "1e999", "9" * 400, "²", "one", "1,2", "None", "[1]"}


def data_options(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A command of ``dmanet-data`` with one or two wrong words."""
    return _case("dmanet-data", data_commands.VERBS, DATA, rng, fixtures, folder)


def network_options(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A command of ``dmanet`` with one or two wrong words."""
    return _case("dmanet", network_commands.VERBS, NETWORK, rng, fixtures, folder)


def _case(
    program: str,
    verbs: Mapping[str, str],
    calls: Mapping[str, tuple[list[str], dict[str, str]]],
    rng: random.Random,
    fixtures: Path,
    folder: Path,
) -> Case:
    called = rng.choice(sorted(calls))
    sound_arguments, sound_options = calls[called]
    verb, *more = called.split()
    command = load_verb(verbs[verb])
    if isinstance(command, VerbGroup):
        command = load_verb(command.verbs[more[0]])
    arguments, options = list(sound_arguments), dict(sound_options)
    if (
        verb in ("subset", "verify", "predict") and rng.random() < 0.7
    ):  # options that exclude others
        for name in ("--files-from", "--link", "--copy"):
            options.pop(name, None)
    checks: list[Callable[[int], list[str]]] = []
    if arguments and (not options or rng.random() < 0.35):
        place = rng.randrange(len(arguments))
        arguments[place], check = _path(rng, folder, is_output=arguments[place] == _OUT)
        checks.append(check)
    else:
        for name in rng.sample(sorted(options), min(len(options), rng.choice((1, 1, 2)))):
            options[name], check = _value(_option(command, name), options[name], rng, folder)
            checks.append(check)
    words = [verb, *more]
    for number, text in enumerate(arguments):
        words.append(_placed(text, fixtures, folder, f"argument{number}"))
    for name, text in options.items():
        words += [name, _placed(text, fixtures, folder, f"option{name}")]
    if verb == "verify":
        words.append("--deep")
    if rng.random() < 0.5 and any("--quiet" in option.opts for option in command.params):
        words.append("--quiet")
    return Case(
        program, words, check=lambda code: [said for check in checks for said in check(code)]
    )


def _option(command: click.Command, name: str) -> click.Parameter:
    return next(parameter for parameter in command.params if name in parameter.opts)


def _placed(text: str, fixtures: Path, folder: Path, name: str) -> str:
    return text.replace("{f}", str(fixtures)).replace(_OUT, str(folder / f"out-{name.strip('-')}"))


def _value(
    option: click.Parameter, sound: str, rng: random.Random, folder: Path
) -> tuple[str, Callable[[int], list[str]]]:
    """Something for an option, and what must hold after it."""
    if sound == _OUT or "{f}" in sound:
        return _path(rng, folder, is_output=sound == _OUT)
    if "--set" in option.opts:
        return rng.choice(SETTINGS), _anything
    if isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
        # More processes than one are for other tests: an unprivileged user may not see this Python.
        text = rng.choice(_WORKERS if "--workers" in option.opts else NUMBERS)
        return text, _refused(
            f"{option.opts[0]} {text!r} is taken"
        ) if text in _NO_NUMBER else _anything
    return rng.choice((*TEXTS, *NUMBERS)), _anything


def _path(
    rng: random.Random, folder: Path, *, is_output: bool
) -> tuple[str, Callable[[int], list[str]]]:
    """A path that is not to be used, and what must hold after it."""
    text = hostile_path(rng, folder)
    path = Path(text)
    before = _what_is_at(path)

    def still_there(code: int) -> list[str]:
        now = _what_is_at(path)
        if before is not None and now != before and not (is_output and before == "file"):
            return [f"{path} was {before} and is {now}"]
        inside = path / "something"
        if before == "folder" and path.name.startswith("folder-") and not inside.is_file():
            return [f"{inside} is gone"]
        return []

    return text, still_there


def _what_is_at(path: Path) -> str | None:
    try:
        if path.is_symlink():
            return "link to " + os.readlink(path)
        mode = os.stat(path).st_mode >> 12
    except (OSError, ValueError):
        return None
    return {4: "folder", 8: "file"}.get(mode, f"kind {mode}")


def _refused(problem: str) -> Callable[[int], list[str]]:
    return lambda code: [problem] if code == 0 else []


def _anything(code: int) -> list[str]:
    return []


def unknown_words(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """Words that no command knows."""
    words: list[Any] = [
        rng.choice(
            (
                *(verb for verb in DATA if verb != "simulate" and " " not in verb),
                "--version",
                "nothing",
                "",
                "--help",
                "-h",
                "\udcff",
            )
        )
    ]
    words += rng.choices((*TEXTS, *NUMBERS), k=rng.randrange(4))
    return Case("dmanet-data", words)
