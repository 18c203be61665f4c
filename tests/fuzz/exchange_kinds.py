"""Cases on what people hand each other: listings of drives, class maps, manifests, and scan records."""

import json
import random
import shutil
from pathlib import Path

from tests.fuzz import byte_mutations, json_mutations
from tests.fuzz.sandbox import Case

_CLASS_MAP = """name: mine
classes: [dog, cat]
sensor: [64, 48]
min_side: 2
min_diagonal: 2.5
skip: 0.5
"""


def listing(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A listing of a drive with other bytes, in one of the forms that are read."""
    path = folder / "listing.txt"
    release = fixtures / "release"
    files = [
        (str(file.relative_to(release)), file.stat().st_size)
        for file in sorted(release.rglob("events/**/*.npz"))
    ]
    text = rng.choice(
        (
            "path,bytes\n" + "".join(f"{name},{size}\n" for name, size in files),
            "".join(f"{name};{size}\n" for name, size in files),
            "".join(f"{size:9} 2021-01-01 12:00:00.000000000 {name}\n" for name, size in files),
        )
    )
    path.write_bytes(byte_mutations.mutate(text.encode(), rng))
    out = str(folder / "out.json")
    arguments = ["scan", str(release), "-o", out, "--labels-only", "--sizes", str(path)]
    return Case("dmanet-data", arguments, [path.name])


def scan_record(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """What an earlier ``scan --update`` kept, with other bytes."""
    path = folder / "out.json.scan"
    path.write_bytes(byte_mutations.mutate((fixtures / "out.json.scan").read_bytes(), rng))
    arguments = ["scan", str(fixtures / "release"), "-o", str(folder / "out.json"), "--update"]
    return Case("dmanet-data", arguments, [path.name])


def class_map(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A file of classes with other bytes, beside sound boxes."""
    path = folder / "mine.yaml"
    path.write_bytes(byte_mutations.mutate(_CLASS_MAP.encode(), rng))
    raw = fixtures / "camera" / "drive_td.dat"
    arguments = ["ingest", str(raw), str(folder / "out"), "--labels", str(path)]
    return Case("dmanet-data", arguments, [path.name])


def exchanged_manifest(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A manifest of another content, compared with the sound one or with the release."""
    sound = fixtures / "manifest.json"
    path = folder / "theirs.json"
    if rng.random() < 0.3:
        path.write_bytes(byte_mutations.mutate(sound.read_bytes(), rng))
    else:
        text = json_mutations.mutate(json.loads(sound.read_bytes()), rng)
        path.write_text(text, encoding="utf-8", errors="replace")
    pair = [str(sound), str(path)]
    rng.shuffle(pair)
    words = rng.choice((["diff", *pair], ["verify", str(fixtures / "release"), str(path)]))
    answers = words[0] == "diff"
    return Case("dmanet-data", ["manifest", *words], [path.name, ".npz"], answers=answers)


def verified_tree(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A release one file of which has other bytes: ``manifest verify`` finds it."""
    release = folder / "release"
    shutil.copytree(fixtures / "release", release)
    file = rng.choice(sorted(release.rglob("*.npz")))
    file.write_bytes(byte_mutations.mutate(file.read_bytes(), rng))
    return Case(
        "dmanet-data",
        ["manifest", "verify", str(release), str(fixtures / "manifest.json"), "--quiet"],
        [".npz"],
        check=lambda code: ["a changed file passes"] if code == 0 else [],
    )
