"""Cases on shards: bytes spoiled at random, and archives that are whole and hostile."""

import io
import json
import os
import random
import shutil
from pathlib import Path

import numpy as np

from tests.fuzz.byte_mutations import mutate
from tests.fuzz.fixtures import BOXES
from tests.fuzz.hostile import take_away
from tests.fuzz.raw_zip import RawMember, npy, raw_zip
from tests.fuzz.sandbox import Case

_EVENT_DESCR = "[('t', '<u4'), ('x', '<u2'), ('y', '<u2'), ('p', '|u1')]"
_DESCRS = (
    *(
        _EVENT_DESCR,
        "'<f8'",
        "'|O'",
        "'<i8'",
        "'<U10'",
        "'|V9'",
        "'<M8[us]'",
        "'<c16'",
        "'|S3'",
        "'x'",
    ),
    *(
        "[('t', '<f8'), ('x', '<f8'), ('y', '<f8'), ('p', '<f8')]",
        "[('t', '|O')]",
        "[]",
        "''",
        "None",
    ),
    *("[('t', '<u4', (1000000,)), ('x', '<u2')]", "[('t', [('t', '<u4')])]", "('<u4', (2,))", "1"),
    *("[('t', '<u8'), ('x', '<i8'), ('y', '<i8'), ('p', '<i8')]", "[('t', '<u4'), ('t', '<u4')]"),
    *("[('t', '>u4'), ('x', '>u2'), ('y', '>u2'), ('p', '|i1')]", "'<u4'*9", "__import__('os')"),
    *("[('t', '<u4'), ('x', '<u2'), ('y', '<u2'), ('p', '|b1')]", "(" * 300 + ")" * 300, "'<u99'"),
)
_SHAPES = (
    *(
        "(10,)",
        "(0,)",
        "()",
        "(1,)",
        "(10, 4)",
        "(1000000000000,)",
        "(-1,)",
        "(10",
        "(1, 0, 10)",
        "x",
    ),
    *(
        "(9223372036854775807,)",
        "(4294967296, 4294967296)",
        "(1.5,)",
        "(True,)",
        "(None,)",
        "('1',)",
    ),
    *(
        "(" + "1, " * 100 + ")",
        "(" + "9" * 500 + ",)",
        "[10]",
        "(10,)*3",
        "(0x10,)",
        "(1_0,)",
        "(²,)",
    ),
)
_HEADERS = (
    "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}",
    "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}",
    "{{'shape': {shape}, 'fortran_order': {order}, 'descr': {descr}}}",
    "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, 'more': 1}}",
    "{{'descr': {descr}, 'fortran_order': {order}}}",
    "{{'descr': {descr}, 'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}",
    "{descr}",
)
_EXECUTES = b"cos\nmkdir\n(S'executed'\ntR."  # a pickle that would make a folder


def shard_bytes(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """One file of one recording has other bytes."""
    release, file = _copied_release(rng, fixtures, folder)
    file.write_bytes(mutate(file.read_bytes(), rng))
    return _reading_case(rng, fixtures, folder, release, file)


def shard_structure(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """One file of one recording is an archive that holds something else, or says so."""
    release, file = _copied_release(rng, fixtures, folder)
    file.write_bytes(_hostile_archive(rng, file))
    return _reading_case(rng, fixtures, folder, release, file)


def shard_values(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A sound archive of arrays whose values no camera and no annotator would write."""
    release, file = _copied_release(rng, fixtures, folder)
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = rng.choice(sorted(arrays))
    arrays[name] = _spoiled_values(arrays[name], rng)
    with file.open("wb") as out:
        np.savez_compressed(out, **arrays)
    return _reading_case(rng, fixtures, folder, release, file)


def release_tree(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """Something in the release's tree is missing, closed, of another kind or oddly named."""
    release, file = _copied_release(rng, fixtures, folder)
    place = rng.choice((file, *file.parents[:4]))
    kind = rng.choice(("hostile", "closed", "gone", "renamed", "emptied"))
    if kind == "closed":
        place.chmod(0)
    elif kind == "emptied" and place.is_file():
        place.write_bytes(b"")
    elif kind == "renamed":
        names = (
            b"\xff\xfe",
            b"a\nb",
            b"-rf",
            b" ",
            b"ev001.npz",
            b"x" * 250,
            b"x.",
            b"ev99999999999.npz",
        )
        place.rename(place.parent / os.fsdecode(rng.choice(names)))
    else:
        take_away(place, rng, folder, hostile=kind == "hostile")
    case = _reading_case(rng, fixtures, folder, release, None)
    case.names = []
    return case


def _copied_release(rng: random.Random, fixtures: Path, folder: Path) -> tuple[Path, Path]:
    """A copy of the release, and one file of its recording in the split train."""
    release = folder / "release"
    shutil.copytree(fixtures / "release", release)
    return release, rng.choice(sorted((release / "train").rglob("*.npz")))


def _reading_case(
    rng: random.Random, fixtures: Path, folder: Path, release: Path, file: Path | None
) -> Case:
    names = ["release"] if file is None else [file.name]
    if rng.random() < 0.5:
        manifest = folder / "out.json"

        def same_rows(code: int) -> list[str]:
            if code != 0:
                return []
            rows = _rows(json.loads(manifest.read_text()))
            expected = _rows(json.loads((fixtures / "manifest.json").read_text()))
            return [
                f"another entry of {name}"
                for name in _others(expected)
                if rows.get(name) != expected[name]
            ]

        arguments = ["scan", str(release), "-o", str(manifest), "--quiet", *BOXES]
        return Case("dmanet-data", arguments, names, same_rows)
    cache = folder / "cache"
    policy = rng.choice(("quarantine", "quarantine", "repeat", "fail"))

    def same_digests(code: int) -> list[str]:
        found = {key: _digest(cache, key) for key in _others(_keys(fixtures))}
        if code in (0, 3):
            return [f"{k} differs" for k, d in found.items() if d != _digest(fixtures / "cache", k)]
        return [
            f"{k} differs"
            for k, d in found.items()
            if d is not None and d != _digest(fixtures / "cache", k)
        ]

    arguments = ["voxelize", str(release), str(cache), "--grid", "32x32", "--quiet", *BOXES]
    return Case("dmanet-data", [*arguments, "--on-corrupt", policy], names, same_digests)


def _rows(manifest: dict) -> dict[str, dict]:
    return {row["id"]: row for row in manifest["recordings"]}


def _keys(fixtures: Path) -> list[str]:
    return list(_rows(json.loads((fixtures / "manifest.json").read_text())))


def _others(keys: object) -> list[str]:
    return [key for key in keys if not key.startswith("train/")]  # type: ignore[attr-defined]


def _digest(cache: Path, recording: str) -> str | None:
    """The digest of a cached recording; None where it is not there."""
    try:
        return json.loads((cache / recording / "zarr.json").read_text())["attributes"]["digest"]
    except FileNotFoundError:
        return None


def _hostile_archive(rng: random.Random, file: Path) -> bytes:
    with np.load(file) as archive:
        sound = {name: archive[name] for name in archive.files}
    members = []
    for name, array in sound.items():
        stream = io.BytesIO()
        np.save(stream, array)
        members.append(RawMember(f"{name}.npy".encode(), stream.getvalue()))
    place = rng.randrange(len(members))
    member = members[place]
    kind = rng.choice(
        ("header", "header", "header", "lie", "lie", "twice", "name", "pickle", "many", "bomb")
    )
    if kind == "header":
        header = rng.choice(_HEADERS).format(
            descr=rng.choice(_DESCRS),
            order=rng.choice(("False", "True", "0", "None")),
            shape=rng.choice(_SHAPES),
        )
        version = rng.choice(((1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
        body = rng.randbytes(rng.choice((0, 90, 360, 1000)))
        members[place] = RawMember(
            member.name, npy(header + "\n" * rng.choice((0, 1)), body, version=version)
        )
    elif kind == "lie":
        lie = {
            "size": rng.choice((0, 1, 1 << 31, (1 << 32) - 1, len(member.data) + 1)),
            "packed_size": rng.choice((0, 1, 1 << 31, (1 << 32) - 1)),
            "crc": 0,
            "method": rng.choice((1, 9, 12, 14, 99)),
            "flags": rng.choice((1, 8, 0x41)),
            "offset": rng.choice((0, 1, 1 << 31, (1 << 32) - 1)),
            "stored": True,
        }
        field = rng.choice(sorted(lie))
        members[place] = RawMember(**{"name": member.name, "data": member.data, field: lie[field]})
    elif kind == "twice":
        members.append(RawMember(member.name, rng.choice(members).data))
    elif kind == "name":
        names = (
            b"",
            b"../../escape.npy",
            b"/abs.npy",
            b"\xff.npy",
            b"e0",
            b"e0.npy\0x",
            b"a\nb.npy",
        )
        members[place] = RawMember(rng.choice(names), member.data)
    elif kind == "pickle":
        header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
        members[place] = RawMember(member.name, npy(header, _EXECUTES))
    elif kind == "many":
        members += [RawMember(f"{n}.npy".encode(), b"") for n in range(rng.choice((100, 5000)))]
    else:
        zeros = npy(
            f"{{'descr': {_EVENT_DESCR}, 'fortran_order': False, 'shape': (20000000,), }}\n",
            bytes(180_000_000),
        )
        members[place] = RawMember(member.name, zeros)
    count = rng.choice((None, None, None, 0, 1, 65535))
    return raw_zip(members, count=count)


def _spoiled_values(array: np.ndarray, rng: random.Random) -> np.ndarray:
    spoiled = array.copy()
    field = rng.choice(array.dtype.names or ("",))
    if rng.random() < 0.4:
        wider = [(n, "<f8" if n == field else array.dtype[n]) for n in array.dtype.names or ()]
        spoiled = array.astype(wider) if wider else array
    if len(spoiled):
        rows = slice(rng.randrange(len(spoiled)), None if rng.random() < 0.5 else 1 << 30)
        kind = spoiled.dtype[field].kind
        if kind == "f":
            spoiled[field][rows] = rng.choice(
                (np.nan, np.inf, -np.inf, -1, 1e30, 0.5, 255.5, 7, 1e-300)
            )
        else:
            limit = np.iinfo(spoiled.dtype[field]).max
            spoiled[field][rows] = rng.choice((0, 1, 2, 7, 255, limit, limit // 2)) % (limit + 1)
    return spoiled if rng.random() < 0.8 else np.repeat(spoiled, 50)
