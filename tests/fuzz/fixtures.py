"""Sound files of every kind, made once by the commands themselves; cases copy and spoil them.

::

    release/   three recordings of 64x48 pixels, two or three shards each
    out.json and out.json.scan (of scan --update), sizes.csv
    manifest.json, cache/ (32x32 cells), camera/drive_td.dat, drive.h5, drive_bbox.npy
    tiny/ (a cache of 128x128 cells), run/ (last.pt and previous.pt), released.pth, weights.safetensors
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tests.pipeline.evt_files import evt2_words, evt3_words, write_raw

SENSOR = (64, 48)
BOXES = ("--min-side", "2", "--min-diagonal", "2")
_DAT_HEADER = b"% Width 64\n% Height 48\n% Version 2\n"


def make_fixtures(folder: Path, *, with_network: bool) -> None:
    """Make the fixtures in an empty folder; anybody may read them.

    Args:
        folder: for them.
        with_network: also those of training.
    """
    from cli.data import main as data

    def run(command: Any, *arguments: Any) -> None:
        command.main([str(a) for a in arguments], "fixture", standalone_mode=False)

    release, manifest = folder / "release", folder / "manifest.json"
    run(
        data,
        *("simulate", release, "--size", "64x48", "--rate", 300, "--seconds", 1.5, "--quiet"),
        *("--recordings", "train=1,val=1,test=1", "--objects", 3),
    )
    run(data, "scan", release, "-o", manifest, "--quiet", *BOXES)
    run(data, "voxelize", manifest, folder / "cache", "--grid", "32x32", "--quiet", *BOXES)
    run(data, "scan", release, "-o", folder / "out.json", "--update", "--quiet")
    sizes = [f"{f.relative_to(release)},{f.stat().st_size}\n" for f in release.rglob("*.npz")]
    (folder / "sizes.csv").write_text("path,bytes\n" + "".join(sorted(sizes)))
    _write_camera_files(folder / "camera")
    if with_network:
        from cli.main import main as network

        tiny, run_dir = folder / "tiny", folder / "run"
        run(data, "voxelize", manifest, tiny, "--grid", "128x128", "--quiet", *BOXES)
        run(
            network,
            *(
                "train",
                tiny,
                "--run-dir",
                run_dir,
                "--preset",
                "tiny",
                "--quiet",
                "--device",
                "cpu",
            ),
            *("--set", "training.epochs=2", "--set", "training.batch_size=2"),
            *("--set", "model.stem_width=8", "--set", "model.feature_size=8"),
        )
        run(network, "export-weights", run_dir / "last.pt", folder / "released.pth")
        run(
            network,
            *("import-weights", folder / "released.pth", folder / "weights.safetensors"),
            *("--preset", "tiny", "--set", "stem_width=8", "--set", "feature_size=8"),
        )
    for where, folders, files in os.walk(folder):
        for name in folders:
            Path(where, name).chmod(0o755)
        for name in files:
            Path(where, name).chmod(0o644)
    folder.chmod(0o755)


def camera_events(count: int = 4000) -> dict[str, np.ndarray]:
    """Events of two seconds by field: t in µs, x, y, p."""
    rng = np.random.default_rng(1)
    return {
        "t": np.sort(rng.integers(0, 2_000_000, count)).astype(np.uint32),
        "x": rng.integers(0, SENSOR[0], count).astype(np.uint16),
        "y": rng.integers(0, SENSOR[1], count).astype(np.uint16),
        "p": rng.integers(0, 2, count).astype(np.uint8),
    }


def _write_camera_files(folder: Path) -> None:
    import h5py

    folder.mkdir()
    events = camera_events()
    packed = np.empty(len(events["t"]), [("t", "<u4"), ("v", "<u4")])
    packed["t"] = events["t"]
    packed["v"] = (
        events["x"] | events["y"].astype(np.uint32) << 14 | events["p"].astype(np.uint32) << 28
    )
    (folder / "drive_td.dat").write_bytes(_DAT_HEADER + bytes((0, 8)) + packed.tobytes())
    with h5py.File(folder / "drive.h5", "w") as file:
        for name, column in events.items():
            file.create_dataset(f"events/{name}", data=column, chunks=(512,), compression="gzip")
        file["events/width"], file["events/height"] = SENSOR
    records = list(zip(*(events[name].tolist() for name in "txyp"), strict=True))
    write_raw(folder / "evt3.raw", "3.0", evt3_words(records, vectors=True), SENSOR)
    write_raw(folder / "evt2.raw", "2.0", evt2_words(records), SENSOR)
    np.save(folder / "drive_bbox.npy", box_records())


def box_records(count: int = 30) -> np.ndarray:
    """Boxes over the two seconds, in the layout of Prophesee's files."""
    fields = [("t", "<u8"), ("x", "<f4"), ("y", "<f4"), ("w", "<f4"), ("h", "<f4")]
    fields += [("class_id", "u1"), ("class_confidence", "<f4"), ("track_id", "<u4")]
    boxes = np.zeros(count, fields)
    boxes["t"] = np.arange(count) * 60_000
    boxes["x"], boxes["y"], boxes["w"], boxes["h"] = 5, 6, 20, 15
    boxes["class_confidence"] = 1
    return boxes
