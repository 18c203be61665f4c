"""Cases on camera files and box files: ``ingest``."""

import random
import shutil
from pathlib import Path

import numpy as np

from tests.fuzz.byte_mutations import mutate
from tests.fuzz.fixtures import box_records, camera_events
from tests.fuzz.raw_zip import npy
from tests.fuzz.sandbox import Case
from tests.fuzz.shard_kinds import _DESCRS, _HEADERS, _SHAPES


def camera_bytes(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A DAT, HDF5 or RAW file with other bytes."""
    raw = folder / rng.choice(("drive_td.dat", "drive.h5", "evt2.raw", "evt3.raw"))
    raw.write_bytes(mutate((fixtures / "camera" / raw.name).read_bytes(), rng))
    return _ingest(rng, folder, raw, raw)


def dat_headers(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A DAT file whose header says odd things, or whose events are odd."""
    lines = [
        b"% Width 64",
        b"% Height 48",
        b"% Version 2",
        b"% evt 3.0",
        b"%" + b"x" * 70_000,
        b"% Width 0",
    ]
    lines += [
        b"% Height 99999999999",
        b"% Width -5",
        b"% Width \xff",
        b"%",
        b"% end",
        b"% format EVT3;height=9",
    ]
    chosen = rng.sample(lines, rng.randrange(1, 6))
    kind = bytes((rng.choice((0, 12, 14, 255)), rng.choice((8, 8, 8, 0, 16))))
    events = np.frombuffer(
        (fixtures / "camera" / "drive_td.dat").read_bytes()[-32_000:], "<u4"
    ).copy()
    events[rng.randrange(len(events))] = rng.choice((0, 1, 0xFFFFFFFF, 0x80000000))
    raw = folder / "drive_td.dat"
    raw.write_bytes(b"\n".join(chosen) + b"\n" + kind + events.tobytes())
    return _ingest(rng, folder, raw, raw)


def hdf5_structure(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """An HDF5 file of other types, lengths and claims, or one that points elsewhere."""
    import h5py

    raw = folder / "drive.h5"
    events: dict[str, np.ndarray] = dict(camera_events(1000))
    name = rng.choice("txyp")
    kind = rng.choice(
        (
            "dtype",
            "value",
            "length",
            "missing",
            "link",
            "virtual",
            "storage",
            "claim",
            "shape",
            "group",
            "size",
        )
    )
    if kind == "dtype":
        events[name] = events[name].astype(rng.choice(("<f8", "<i8", "S4", "<u8", "?")))
    elif kind == "value":
        wide = events[name].astype("<i8")
        wide[rng.randrange(len(wide))] = rng.choice((-1, 1 << 40, 70_000, 2))
        events[name] = wide
    elif kind == "length":
        events[name] = events[name][: rng.choice((0, 1, 500))]
    elif kind == "shape":
        events[name] = events[name].reshape(rng.choice(((1000, 1), (10, 100), (1, 1000))))
    with h5py.File(raw, "w") as file:
        for key, column in events.items():
            if key == name and kind == "missing":
                continue
            if key == name and kind == "link":
                file[f"events/{key}"] = h5py.ExternalLink(
                    str(fixtures / "camera/drive.h5"), f"events/{key}"
                )
            elif key == name and kind == "virtual":
                layout = h5py.VirtualLayout((1000,), column.dtype)
                layout[:] = h5py.VirtualSource(
                    str(fixtures / "camera/drive.h5"), f"events/{key}", (4000,)
                )[:1000]
                file.create_virtual_dataset(f"events/{key}", layout)
            elif key == name and kind == "storage":
                file.create_dataset(
                    f"events/{key}",
                    shape=(1000,),
                    dtype=column.dtype,
                    external=[(str(fixtures / "manifest.json"), 0, 8000)],
                )
            elif kind == "claim":
                chunk = rng.choice((1 << 10, 1 << 20, 1 << 28))
                file.create_dataset(
                    f"events/{key}",
                    shape=(10**13,),
                    dtype=column.dtype,
                    chunks=(chunk,),
                    compression="gzip",
                )
            elif key == name and kind == "group":
                file.create_group(f"events/{key}")
            else:
                file.create_dataset(f"events/{key}", data=column)
        sizes = (64, 0, -1, 1 << 20, 1.5, "64") if kind == "size" else (64,)
        file["events/width"], file["events/height"] = rng.choice(sizes), 48
    return _ingest(rng, folder, raw, raw)


def box_file(rng: random.Random, fixtures: Path, folder: Path) -> Case:
    """A sound recording beside a box file that is not."""
    raw = folder / "drive_td.dat"
    shutil.copyfile(fixtures / "camera" / raw.name, raw)
    boxes = folder / "drive_bbox.npy"
    kind = rng.choice(("bytes", "header", "values"))
    if kind == "bytes":
        boxes.write_bytes(mutate((fixtures / "camera" / boxes.name).read_bytes(), rng))
    elif kind == "header":
        header = rng.choice(_HEADERS).format(
            descr=rng.choice(_DESCRS),
            order=rng.choice(("False", "True")),
            shape=rng.choice(_SHAPES),
        )
        boxes.write_bytes(npy(header + "\n", rng.randbytes(rng.choice((0, 90, 1000)))))
    else:
        records = box_records()
        field = rng.choice(records.dtype.names)
        wide = records.astype(
            [(n, "<f8" if n == field else records.dtype[n]) for n in records.dtype.names]
        )
        wide[field][rng.randrange(len(wide)) :] = rng.choice((np.nan, np.inf, -1, 0.5, 1e30, 300))
        np.save(boxes, wide)
    return _ingest(rng, folder, raw, boxes)


def _ingest(rng: random.Random, folder: Path, raw: Path, spoiled: Path) -> Case:
    arguments = ["ingest", str(raw), str(folder / "out"), "--quiet"]
    arguments += ["--skip", rng.choice(("0", "0.5", "1"))]

    def nothing_half(code: int) -> list[str]:
        made = (folder / "out").exists() and any((folder / "out").rglob("*.npz"))
        return ["refused, and shards are there"] if code in (1, 2) and made else []

    return Case("dmanet-data", arguments, [spoiled.name], nothing_half)
