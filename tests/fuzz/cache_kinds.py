"""Cases on manifests, on ``release.json`` and on caches."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.fuzz import byte_mutations, json_mutations
from tests.fuzz.fixtures import BOXES
from tests.fuzz.hostile import take_away
from tests.fuzz.sandbox import Case

RECORDING = "train/trainfilelist00"


def manifest(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A manifest with other bytes, or another content."""
    path = folder / "manifest.json"
    sound = (fixtures / "manifest.json").read_bytes()
    if rng.random() < 0.3:
        path.write_bytes(byte_mutations.mutate(sound, rng))
    else:
        path.write_text(_spoiled(json.loads(sound), rng))
    out = str(folder / "out")
    arguments = rng.choice(
        (
            ["info", str(path)],
            ["subset", str(path), "--budget", "1MB", "-o", out],
            ["subset", str(path), "--budget", "1MB", "-o", out, "--link", str(folder / "tree")],
            [
                "voxelize",
                str(path),
                out,
                "--root",
                str(fixtures / "release"),
                "--grid",
                "32x32",
                *BOXES,
            ],
            ["stats", str(path), "-o", out],
        )
    )
    return Case("dmanet-data", arguments, ["manifest.json", ".npz"])


def sensors(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A ``release.json`` with other bytes, or another content."""
    release = folder / "release"
    shutil.copytree(fixtures / "release", release)
    path = release / "release.json"
    sound = path.read_bytes()
    if rng.random() < 0.3:
        path.write_bytes(byte_mutations.mutate(sound, rng))
    else:
        path.write_text(_spoiled(json.loads(sound), rng))
    return Case("dmanet-data", ["scan", str(release), "-o", str(folder / "out")], ["release.json"])


def cache_bytes(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A cache in which one file has other bytes: ``verify`` finds each."""
    cache = _copied_cache(fixtures, folder)
    file = rng.choice(sorted(path for path in cache.rglob("*") if path.is_file()))
    file.write_bytes(byte_mutations.mutate(file.read_bytes(), rng))
    return _reading(rng, cache, folder, finds=True)


def cache_tree(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A cache in which a file or folder is missing, added, exchanged or of another kind."""
    cache = _copied_cache(fixtures, folder)
    places = sorted(cache.rglob("*"))
    place = rng.choice(places)
    kind = rng.choice(("gone", "hostile", "added", "exchanged", "renamed", "closed"))
    other = rng.choice([path for path in places if path.is_file()])
    if kind == "added":
        (place if place.is_dir() else place.parent).joinpath("extra").write_bytes(b"x")
    elif kind == "exchanged" and place.is_file() and place.read_bytes() != other.read_bytes():
        content = place.read_bytes()
        place.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif kind == "renamed":
        place.rename(place.with_name(rng.choice(("0x", "a\nb", "x" * 200, "train2"))))
    elif kind == "closed":
        place.chmod(0)
    else:
        take_away(place, rng, folder, hostile=kind == "hostile")
    # A recording that is gone is no damage: caches grow and shrink by whole recordings.
    inside = len(place.relative_to(cache).parts) > 3
    return _reading(rng, cache, folder, finds=inside and kind in ("gone", "renamed"))


def cache_attributes(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A ``zarr.json`` of another content, its digests made to fit in half of the cases."""
    from pipeline.cache.records import attributes_digest

    cache = _copied_cache(fixtures, folder)
    path = rng.choice(sorted(cache.rglob("zarr.json")))
    document = json.loads(path.read_bytes())
    spoiled = json_mutations.mutate(document, rng)
    if rng.random() < 0.5 and "digest" in document.get("attributes", {}):
        try:
            changed = json.loads(spoiled)
            changed["attributes"]["digest"] = attributes_digest(changed["attributes"])
            spoiled = json.dumps(changed, indent=2)
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
            pass
    path.write_text(spoiled, encoding="utf-8", errors="surrogatepass")
    return _reading(rng, cache, folder, finds=False)


def cache_tables(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """Arrays of other values whose digests fit: what a hostile writer could make."""
    cache = _copied_cache(fixtures, folder)
    spoil_tables(cache, rng)
    return _reading(rng, cache, folder, finds=False)


def spoil_tables(cache: Path, rng: random.Random) -> None:
    """Change values of one array of a cache and make all digests fit."""
    import zarr

    from pipeline.cache.records import attributes_digest, group_document
    from pipeline.cache.writer import folder_digest

    recording = rng.choice(sorted(path.parent for path in cache.rglob("windows")))
    attributes = json.loads((recording / "zarr.json").read_bytes())["attributes"]
    name = rng.choice(sorted(attributes["digests"]))
    array = zarr.open_array(recording / name, mode="r+")
    values = array[:]
    flat = values.reshape(-1)
    if len(flat):
        odd: Sequence[float] = (0, 1, -1, 7, 1 << 31, 1 << 40, 1 << 62, -(1 << 40), 0.5)
        if flat.dtype.kind == "f":
            odd = (*odd, np.nan, np.inf, 1e300)
        for _ in range(rng.choice((1, 3, 100))):
            with np.errstate(all="ignore"):
                number = np.array(rng.choice(odd)).astype(flat.dtype)
            flat[rng.randrange(len(flat))] = number
        array[:] = values
    attributes["digests"][name] = folder_digest(recording / name)
    attributes["digest"] = attributes_digest(attributes)
    (recording / "zarr.json").write_bytes(group_document(attributes))


def _copied_cache(fixtures: Path, folder: Path) -> Path:
    cache = folder / "cache"
    shutil.copytree(fixtures / "cache", cache)
    return cache


def _spoiled(document: object, rng: random.Random) -> str:
    return json_mutations.mutate(document, rng).encode("utf-8", "replace").decode()


def _reading(rng: random.Random, cache: Path, folder: Path, *, finds: bool) -> Case:
    """A command that reads the cache; with ``finds``, `verify`, which must find the change."""
    ids = sorted(
        path.relative_to(cache).as_posix()
        for path in cache.glob("*/*/*")
        if path.name != "zarr.json"
    )
    recording = rng.choice(ids or ["train/x/y"])
    out = str(folder / "out")
    choices = {
        "verify": ["verify", str(cache), "--quiet"],
        "info": ["info", str(cache)],
        "json": ["info", str(cache), "--json"],
        "stats": ["stats", str(cache), "-o", out, "--quiet"],
        "anchors": ["anchors", str(cache)],
        "show": ["show", str(cache), "--recording", recording, "--window", "3", "-o", f"{out}.png"],
    }
    name = "verify" if finds and rng.random() < 0.6 else rng.choice(sorted(choices))
    missed = "verify finds nothing"
    check = (
        (lambda code: [missed] if code == 0 else [])
        if finds and name == "verify"
        else lambda code: []
    )
    return Case("dmanet-data", choices[name], ["cache"], check)
