"""Boxes as one HDF5 file, to the bit.

``class_names`` are texts in UTF-8, by number. Below ``recordings/0``, ``recordings/1``, … each
recording has ``boxes`` (records as in Prophesee's npy files), ``window`` (whose box each is),
``numbers`` and ``times`` (of the windows), and the attributes ``name``, ``sensor``. The file's
attributes ``format``, ``version`` and ``scored`` say what it is.
"""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydantic import ValidationError

from pipeline.errors import DataError
from pipeline.exchange.records import BOX_DTYPE, BoxSet, RecordingBoxes, check_boxes
from pipeline.files.inputs import require_regular
from pipeline.files.whole import written_whole
from pipeline.ingest.own_data import HDF5_ERRORS, own_data
from pipeline.release.classes import MOST_CLASSES, ClassNames
from pipeline.settings import Settings

FORMAT = "dmanet-boxes"
VERSION = 1
_NAME = np.dtype("S240")  # sixty characters
_MOST_RECORDINGS = 1_000_000
_COLUMNS = {"numbers": np.dtype("<i8"), "times": np.dtype("<i8"), "window": np.dtype("<i8")}


def write_hdf5(path: Path, found: BoxSet) -> None:
    """Write boxes as one HDF5 file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    content = io.BytesIO()  # HDF5 itself would not say plainly why a disk did not take it
    with h5py.File(content, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["scored"] = found.scored
        file["class_names"] = np.array([name.encode() for name in found.class_names], _NAME)
        group = file.create_group("recordings")
        for number, recording in enumerate(found.recordings):
            own = group.create_group(str(number))
            own.attrs["name"], own.attrs["sensor"] = recording.name, recording.sensor
            own["boxes"] = recording.boxes
            for name, dtype in _COLUMNS.items():
                own[name] = getattr(recording, name).astype(dtype)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content.getbuffer())


def read_hdf5(path: Path) -> BoxSet:
    """The boxes of such a file.

    Raises:
        UsageError: it is no regular file.
        DataError: it is none of ours, or damaged.
        OSError: it cannot be read.
    """
    require_regular(path)
    try:
        with h5py.File(path, "r") as file:
            return check_boxes(_content(file, path), str(path))
    except HDF5_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise DataError(f"{path}: cannot be read as boxes ({reason}); export it again.") from None


class _Names(Settings, strict=True):
    names: ClassNames


def _content(file: h5py.File, path: Path) -> BoxSet:
    if file.attrs.get("format") != FORMAT or int(file.attrs.get("version", 0)) != VERSION:
        raise DataError(
            f"{path}: holds no boxes that `dmanet-data export` wrote; give one of its files."
        )
    names = _column(file, "class_names", _NAME, path, MOST_CLASSES)
    try:
        class_names = _Names(names=tuple(name.decode() for name in names.tolist())).names
    except (UnicodeDecodeError, ValidationError):
        raise DataError(f"{path}: its class_names are none; export it again.") from None
    group = file["recordings"]
    if not isinstance(group, h5py.Group) or len(group) > _MOST_RECORDINGS:
        raise DataError(f"{path}: has no recordings; export it again.")
    recordings = tuple(_recording(file, f"recordings/{k}", path) for k in range(len(group)))
    return BoxSet(recordings, class_names, bool(file.attrs["scored"]))


def _recording(file: h5py.File, place: str, path: Path) -> RecordingBoxes:
    boxes = _column(file, f"{place}/boxes", BOX_DTYPE, path)
    columns = {
        name: _column(file, f"{place}/{name}", dtype, path) for name, dtype in _COLUMNS.items()
    }
    if len(columns["window"]) != len(boxes) or len(columns["times"]) != len(columns["numbers"]):
        raise DataError(f"{path}: {place} has columns that differ in length; export it again.")
    attributes = file[place].attrs
    width, height = attributes["sensor"]
    return RecordingBoxes(
        name=str(attributes["name"]), sensor=(int(width), int(height)), boxes=boxes, **columns
    )


def _column(
    file: h5py.File, name: str, dtype: np.dtype, path: Path, most: int | None = None
) -> np.ndarray:
    data: Any = own_data(file, name, path)
    if data is None or data.ndim != 1 or data.dtype != dtype or (most and len(data) > most):
        raise DataError(f"{path}: {name} is missing or of another type; export it again.")
    return data[:]
