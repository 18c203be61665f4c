"""Texts and places that somebody might give to an option."""

import os
import random
import shutil
import socket
from pathlib import Path

NUMBERS = (
    *(
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e999",
        "-1",
        "0",
        "-0",
        "0.0",
        "1",
        "2",
        "3",
        "0.5",
        "1e3",
        "²",
    ),
    *(
        "١٢",
        "1_0",
        "0x10",
        "99999999999",
        "-99999999999",
        str(1 << 63),
        "9" * 400,
        "1.5.2",
        "",
        " ",
    ),
    *(
        "one",
        "1,2",
        "1 2",
        "+3",
        "１２",
        "\n1",
        "1e-400",
        "--",
        "None",
        "true",
        "[1]",
        "{}",
        "1;rm",
    ),
)
TEXTS = (
    *(
        "",
        " ",
        "x",
        "-",
        "--",
        "-x",
        "--help",
        "all",
        "car",
        "car,car",
        "train",
        "a\nb",
        "☃" * 50,
        "é",
    ),
    *(
        "²x²",
        "10x",
        "x10",
        "0x0",
        "1x1",
        "999999999999x999999999999",
        "64x48",
        "-1x5",
        "1x1x1",
        "128x128",
    ),
    *("train=99999999999", "train=²", "train", "train=1,train=2", "=1", "train=-1", "train=0", ","),
    *("3/2", "0/1", "1/1", "1/99999999999999999999", "1/", "a/b", "²/²", "1/4"),
    *(
        "40GB",
        "0",
        "-1GB",
        "nanGB",
        "infGB",
        "1e999GB",
        "9" * 400 + "GB",
        "1",
        "GB",
        "²GB",
        "1e3MB",
    ),
    *("x" * 300, "x" * 5000, "../..", "a/b/c", "/", ".", "~", "%s", "{}", "$(id)", "train/a/b"),
    *(
        "cuda",
        "cuda:99",
        "cpu",
        "cpu:7",
        "meta",
        "mps",
        "xla",
        "auto",
        "fp64",
        "tcp://",
        "tcp://x:1:2",
    ),
    *("0:3", "3:0", "²:5", ":", "1:", "-1:2", "0:99999999999", "quarantine", "fail", "repeat"),
)
#: Single settings, for ``--set``.
SETTINGS = (
    *(
        "",
        "=",
        "a",
        "a=",
        "=1",
        "model=1",
        "model.=1",
        ".=1",
        "..=..",
        "model.depth=18",
        "model.depth=19",
    ),
    *("training.epochs=1e30", "training.epochs=-1", "training.epochs=nan", "training.epochs=1.5"),
    *(
        "training.batch_size=1000000000000",
        "training.steps=99999999999",
        "model.num_classes=10000000000",
    ),
    *(
        "model.feature_size=1000000000",
        "model.stem_width=8000000",
        "model.grid_size=[1000000,1000000]",
    ),
    *(
        "model.grid_size=[0,0]",
        "model.grid_size=[-128,128]",
        "model.grid_size=x",
        "model.grid_size=[1]",
    ),
    *("model.head_convs=100000000", "model.pillar_channels=0", "model.anchors={levels: [3]}"),
    *("training.learning_rate=.inf", "training.learning_rate=.nan", "training.learning_rate=0"),
    *("training.seed=-1", "training.seed=18446744073709551616", "training.classes=[car, car]"),
    *(
        "training.classes=car",
        "training.classes=2020-01-01",
        "training.precision=fp64",
        "model=!!int abc",
    ),
    *(
        "a=&x 1",
        "a=*x",
        "a=!!python/object/apply:os.system [id]",
        "model.depth=!!binary x",
        "x: y=1",
    ),
    *("training.epochs=[" + "[" * 3000, "a" + ".a" * 3000 + "=1", "training.epochs={a: 1, a: 2}"),
    *("model.max_points=5", "model.max_points=99999999", "loss.alpha=nan", "augmentation.flip=2"),
)


def hostile_path(rng: random.Random, folder: Path) -> str:
    """A path that no command should read or write; what it needs is made in ``folder``."""
    number = rng.randrange(1 << 30)
    kind = rng.choice(_PATHS)
    path = folder / f"{kind}-{number}"
    if kind == "folder":
        path.mkdir()
        (path / "something").write_text("that must not be lost")
    elif kind == "empty-folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("that must not be lost")
    elif kind == "empty":
        path.touch()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "pipe-link":
        os.mkfifo(f"{path}.pipe")
        path.symlink_to(f"{path}.pipe")
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(folder)  # a socket's path has a hundred bytes at most
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nothing-there/at-all")
    elif kind == "device-link":
        path.symlink_to(rng.choice(("/dev/null", "/dev/zero", "/dev/full")))
    elif kind == "closed-folder":
        path.mkdir()
        (path / "inside").touch()
        path.chmod(0)
        return str(path / "inside")
    elif kind == "read-only-folder":
        path.mkdir(mode=0o555)
        return str(path / "new")
    elif kind == "closed-file":
        path.touch()
        path.chmod(0)
    elif kind == "below-a-file":
        path.touch()
        return str(path / "x" / "y")
    else:
        return {
            "missing": str(path),
            "device": rng.choice(
                ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/stdin")
            ),
            "proc": rng.choice(
                ("/proc/self/mem", "/proc/self/environ", "/proc/kmsg", "/sys/x", "/proc")
            ),
            "long": str(folder / ("n" * 300)),
            "longest": str(folder / ("n" * 250)),
            "deep": str(folder) + "/d" * 3000,
            "bytes": os.fsdecode(bytes(folder) + b"/\xff\xfe"),
            "newline": str(folder / "new\nline"),
            "dash": "-",
            "dashes": "--output",
            "space": str(folder / " a b "),
            "address": rng.choice(
                ("s3://bucket/x", "memory://x", "http://127.0.0.1:1/x", "foo://x", "s3:")
            ),
            "nothing": "",
            "root": rng.choice(("/", ".", "..", "~")),
        }[kind]
    return str(path)


def hostile_file(rng: random.Random, folder: Path) -> Path | None:
    """Something in ``folder`` that is no regular file with a content; None if this draw makes none."""
    made = Path(hostile_path(rng, folder))
    return (
        made if made.parent == folder and len(made.name) < 200 and os.path.lexists(made) else None
    )


def take_away(place: Path, rng: random.Random, folder: Path, *, hostile: bool) -> None:
    """Remove a file or folder; ``hostile`` puts something in its place that is no file."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    made = hostile_file(rng, folder) if hostile else None
    if made is not None:
        made.rename(place)


_PATHS = (
    *("folder", "empty-folder", "text", "empty", "pipe", "pipe-link", "socket", "loop", "dangling"),
    *("device-link", "closed-folder", "read-only-folder", "closed-file", "below-a-file", "missing"),
    *("device", "proc", "long", "longest", "deep", "bytes", "newline", "dash", "dashes", "space"),
    *("address", "nothing", "root"),
)
