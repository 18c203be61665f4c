"""Writers of small raw recordings: DAT and HDF5, and box files as their producers order them."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

HEADER = "% Data file containing CD events.\n% Version 2\n% Height 48\n% Width 64\n"

#: The original box files: other names and another order of fields than the release's.
BOX_DTYPE = np.dtype(
    [
        ("ts", "<u8"),
        ("x", "<f4"),
        ("y", "<f4"),
        ("w", "<f4"),
        ("h", "<f4"),
        ("class_id", "u1"),
        ("track_id", "<u4"),
        ("class_confidence", "<f4"),
    ]
)


def write_dat(path: Path, events: np.ndarray, header: str = HEADER, kind: bytes = b"\x0c\x08"):
    """``events`` (fields t, x, y, p) as a DAT file, written independently of the reader."""
    body = b"".join(
        int(t).to_bytes(4, "little") + (int(x) | int(y) << 14 | int(p) << 28).to_bytes(4, "little")
        for t, x, y, p in events.tolist()
    )
    path.write_bytes(header.encode() + kind + body)


def write_hdf5(path: Path, events: np.ndarray, size: tuple[int, int] | None = (64, 48), **columns):
    """``events`` as the HDF5 hosting has them; ``columns`` replace single data sets."""
    with h5py.File(path, "w") as file:
        for name in "xytp":
            data = columns.get(name, events[name])
            if data is not None:
                file.create_dataset(f"events/{name}", data=data, **hdf5plugin.Blosc(cname="zstd"))
        if size is not None:
            file["events/width"], file["events/height"] = size
